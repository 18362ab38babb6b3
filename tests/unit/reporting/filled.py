"""Tables of the paper's studies as if they had run: made-up accuracies of three seeds, hours and operations."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cassle.data.streams import Stream
from cassle.plan import resolve
from cassle.reporting.rows.benchmark import COLUMNS as JOBS
from cassle.reporting.rows.frame import COLUMNS as RUNS
from cassle.reporting.rows.method_results import methods_of
from cassle.reporting.tables.formats import Table
from cassle.reporting.tables.table import table_of
from cassle.settings.reading import read_study, read_yaml

PAPER = Path(__file__).parents[3] / "config" / "paper"
STUDIES = sorted({file.stem for file in PAPER.glob("*.yaml")} - {"all"})
SEEDS = [0, 1, 2]


def filled_tables(name: str) -> Iterator[Table]:
    """Yield every table of a study of the paper with the widest of columns."""
    plan = resolve(read_study({**read_yaml(PAPER / f"{name}.yaml"), "seeds": SEEDS}))
    study = plan.summary()
    for stream, probe in study.tables():
        places = [row.model_dump() for row in study.rows if (row.stream, row.probe) == (stream, probe)]
        backbones = dict.fromkeys(place["backbone"] for place in places)
        random = [{"backbone": backbone, "objective": "", "strategy": "random"} for backbone in backbones]
        runs = _runs([*random, *places], plan.streams[stream], probe)
        jobs = pd.DataFrame(
            [
                {**_job(place, study.trained_on(stream, place["strategy"])), "seed": seed, "task": task}
                for place in places
                for seed in SEEDS
                for task in range(1 if place["strategy"] == "offline" else plan.streams[stream].tasks)
            ]
        )
        methods = methods_of(runs, study, stream, probe, jobs.reindex(columns=list(JOBS)))
        yield table_of(methods, study.title(stream, probe))


def _runs(places: list[dict], stream: Stream, probe: str) -> pd.DataFrame:
    rng, parts = np.random.default_rng(0), []
    for place in places:
        models = 1 if place["strategy"] in ("random", "offline") else stream.tasks
        task, evaluated = np.indices((models, stream.tasks)).reshape(2, -1)
        for seed in SEEDS:
            same = {**place, "stream": stream.name, "tasks": stream.tasks, "probe": probe, "seed": seed}
            accuracy = 0.5 + 0.1 * (task > evaluated) + 0.02 * rng.normal(size=len(task))
            numbers = {"accuracy": accuracy, "task_aware": accuracy + 0.2}
            parts.append(pd.DataFrame({"task": task, "evaluated_task": evaluated, **numbers}).assign(**same))
    runs = pd.concat(parts).reindex(columns=list(RUNS))
    words = [column for column, kind in RUNS.items() if kind == "str"]
    return runs.astype(dict.fromkeys(words, object)).fillna(dict.fromkeys(words, ""))


def _job(place: dict, stream: str) -> dict:
    own = {key: place[key] for key in ("backbone", "objective", "strategy")}
    return {**own, "job": "train", "stream": stream, "seconds": 4e5, "flops": 4e16}
