"""The files that a plan makes: what the workflow is asked for, and what `cassle status` looks at."""

from __future__ import annotations

from collections.abc import Iterator

from cassle.contracts.layout import index_file, split_file
from cassle.plan.plan import Plan

TABLE_FORMATS = ("md", "csv", "tex", "html")
LOGS = {"prepare_data": "prepare", "split_stream": "split", "build_memory": "build_memory"}
"""Rule -> stem of its log beside its output, where that is not the output's own."""


def results(plan: Plan) -> list[str]:
    """Return every checkpoint, memory, record and evaluation.

    They are targets beside what is made of them, as Snakemake does not miss an intermediate file by itself.
    """
    checkpoints = [f"{folder}/checkpoint.pt" for folder in plan.train]
    memories = [job.file for job in plan.memory.values()]
    return [*checkpoints, *memories, *records(plan), *plan.probe]


def records(plan: Plan) -> list[str]:
    """Return the record of every training."""
    return [f"{folder}/train.json" for folder in plan.train]


def jobs(plan: Plan) -> dict[str, list[str]]:
    """Return rule -> what names each of its jobs, in the order of the workflow: its output, a training by its folder.

    Rules without a job are left out.
    """
    parts = plan.parts()
    asked = [(part, stream) for part in parts if part.study.features for stream in part.cells["streams"]]
    found = {
        "prepare_data": sorted({index_file(stream.index) for stream in plan.streams.values()}),
        "split_stream": [split_file(stream) for stream in plan.streams],
        "train_first_task": [folder for folder, job in plan.train.items() if job.parent is None],
        "train_next_task": [folder for folder, job in plan.train.items() if job.parent is not None],
        "build_memory": [job.file for job in plan.memory.values()],
        "probe_checkpoint": [file for file, job in plan.probe.items() if job.trained],
        "probe_random_network": [file for file, job in plan.probe.items() if not job.trained],
        "extract_features": list(dict.fromkeys(file for part, stream in asked for file in features(part, stream))),
        "collect_runs": ["results/runs.csv"],
    }
    for rule, file in (one for part in parts for one in _shown(part)):
        found.setdefault(rule, []).append(file)
    return {rule: names for rule, names in found.items() if names}


def _shown(part: Plan) -> Iterator[tuple[str, str]]:
    """Yield the (rule, output) of everything that a study shows, and of what it says of itself."""
    folder = part.folder
    yield "describe_study", f"{folder}/study.json"
    for stream, probe in part.tables():
        yield "make_table", f"{folder}/tables/{stream}/{probe}.{TABLE_FORMATS[0]}"
    for stream, probe, figure in part.figures():
        yield "draw_figure", f"{folder}/figures/{stream}/{probe}/{figure}.pdf"
    for stream in part.cells["streams"]:
        for figure in part.study.features:
            yield "draw_features", f"{folder}/features/{stream}/{figure}.pdf"
    yield "draw_timeline", f"{folder}/timeline.pdf"
    yield "write_page", f"{folder}/report.html"


def _made_by(plan: Plan, *rules: str) -> list[str]:
    """Return the outputs of rules that show something, study by study."""
    return [file for part in plan.parts() for rule, file in _shown(part) if rule in rules]


def other_jobs(plan: Plan) -> dict[str, str]:
    """Return output -> log of every job that neither trains nor evaluates, in the order of the workflow."""
    others = {rule: files for rule, files in jobs(plan).items() if not rule.startswith(("train_", "probe_"))}
    return {file: _log(rule, file) for rule, files in others.items() for file in files}


def _log(rule: str, output: str) -> str:
    folder, _, name = output.rpartition("/")
    return f"{folder}/{LOGS.get(rule, name.rpartition('.')[0])}.log"


def tables(plan: Plan) -> list[str]:
    """Return every table of every study, in every format."""
    shown = _made_by(plan, "make_table")
    return [f"{table.removesuffix(TABLE_FORMATS[0])}{suffix}" for table in shown for suffix in TABLE_FORMATS]


def figures(plan: Plan) -> list[str]:
    """Return every figure of every study: of accuracies, of features, and of when its jobs worked."""
    return _made_by(plan, "draw_figure", "draw_features", "draw_timeline")


def pages(plan: Plan) -> list[str]:
    """Return the report of every study."""
    return _made_by(plan, "write_page")


def features(plan: Plan, stream: str) -> list[str]:
    """Return the features of a stream's test images after every task of the first seed of a study."""
    seed = plan.summary()["seeds"][0]
    jobs = [job for job in plan.probe.values() if job.trained and job.spec["seed"] == seed]
    folders = [job.folder for job in jobs if job.streams[0].name == stream]
    return [f"{folder}/features/{stream}.npz" for folder in dict.fromkeys(folders)]
