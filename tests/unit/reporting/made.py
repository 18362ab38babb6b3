"""Made-up rows of runs, and what a study that shows them says of itself."""

from itertools import product

from cassle.contracts.summary import StudyRecord
from cassle.core.files import write_json
from cassle.data.streams import Stream
from cassle.reporting.rows.frame import write_runs
from tests.unit.specs import changed, probe_record, train_specs

STREAM, PROBE = "digits-domain2", "knn"
TITLES = {
    "objectives": {"barlow_twins": "Barlow Twins", "byol": "BYOL", "simclr": "SimCLR", "supervised": "Supervised"},
    "strategies": {
        "cassle": "CaSSLe",
        "er": "ER",
        "ewc": "EWC",
        "finetune": "fine-tuning",
        "less_forget": "Less-Forget",
    },
}
RANDOM_ROW = [0.10, 0.20]
FINETUNE = [[0.80, 0.30], [0.50, 0.90]]
"""A = (0.5 + 0.9) / 2 = 70 %, F = 0.8 - 0.5 = 30 %, T = 0.3 - 0.2 = 10 %."""
CASSLE = [[0.80, 0.30], [0.70, 0.86]]
"""A = (0.7 + 0.86) / 2 = 78 %, F = 0.8 - 0.7 = 10 %, T = 0.3 - 0.2 = 10 %."""
OFFLINE = [[0.90, 0.96]]
"""A = (0.9 + 0.96) / 2 = 93 %."""


def rows_of(matrix, strategy, seed=0, objective="simclr", **changes):
    """One row per cell of A (models, tasks), in the order of `collect`."""
    return [
        {
            "stream": STREAM,
            "scenario": "domain",
            "dataset": "digits",
            "tasks": len(accuracies),
            "backbone": "conv3",
            "objective": "" if strategy == "random" else objective,
            "strategy": strategy,
            "seed": seed,
            "task": task,
            "evaluated_task": evaluated,
            "task_name": f"domain {evaluated}",
            "probe": PROBE,
            "accuracy": accuracy,
            "task_aware": float("nan"),
            "preset": "",
            "device": "cpu",
            "processes": "1",
            "precision": "fp32",
            "loader": "device",
            "threads": "1",
            "probe_device": "cpu",
            "probe_precision": "fp32",
            "code": "c0de",
            "checkpoint": "0123456789abcdef",
            **changes,
        }
        for task, accuracies in enumerate(matrix)
        for evaluated, accuracy in enumerate(accuracies)
    ]


def all_rows(seed=0, shift=0.0, **changes):
    """The rows of all four strategies; ``shift`` is added to the accuracies of CaSSLe."""
    shifted = [[accuracy + shift for accuracy in row] for row in CASSLE]
    parts = {"random": [RANDOM_ROW], "finetune": FINETUNE, "cassle": shifted, "offline": OFFLINE}
    return [row for strategy, matrix in parts.items() for row in rows_of(matrix, strategy, seed, **changes)]


def summary(*, epochs=500, **changes):
    """What study.json says; without ``rows`` in the changes, every combination of the lists is one."""
    said = {
        "name": "made-up",
        "streams": [STREAM],
        "backbones": ["conv3"],
        "objectives": ["simclr"],
        "strategies": ["finetune", "cassle", "offline"],
        "probes": [PROBE],
        "seeds": [0],
        "presets": ["default"],
        "names": {},
        "titles": TITLES,
        "own_recipes": False,
        **changes,
    }
    lists = (said[key] for key in ("streams", "backbones", "objectives", "strategies", "probes"))
    keys = ("stream", "backbone", "objective", "strategy", "probe")
    rows = [{**dict(zip(keys, row, strict=True)), "epochs": epochs} for row in product(*lists)]
    joint = {stream: f"{stream.partition('-')[0]}-all" for stream in said["streams"]}
    return StudyRecord.model_validate({"rows": rows, "joint": joint, **said})


def write_summary(file, **changes):
    """Write study.json."""
    write_json(file, summary(**changes).model_dump())


def write_study(folder, rows, **changes):
    """Write runs.csv and study.json and return both paths."""
    write_runs(folder / "runs.csv", rows)
    write_summary(folder / "study.json", **changes)
    return folder / "runs.csv", folder / "study.json"


def training_spec(scenario: str = "domain", **changes) -> dict:
    """Return the specification of a training on digits, as JSON."""
    stream = Stream.parse("digits-all" if scenario == "all" else STREAM)
    spec = train_specs(stream=STREAM, backbone="conv3", objective="simclr", strategy="finetune")[0]
    return changed(spec, stream=stream.model_dump(mode="json"), **changes).model_dump(mode="json")


def evaluation(accuracies, checkpoint, stream=STREAM, **changes) -> dict:
    """Return the record that `cassle probe` writes, as JSON."""
    return probe_record(accuracies, checkpoint, stream, **changes).model_dump(mode="json")
