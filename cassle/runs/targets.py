"""The files that a plan makes: what the workflow is asked for, and what `cassle status` looks at."""

from __future__ import annotations

from cassle.paths import index_file, split_file
from cassle.runs.plan import Plan

TABLE_FORMATS = ("md", "csv", "tex", "html")


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


def other_jobs(plan: Plan) -> dict[str, str]:
    """Return output -> log of every job that neither trains nor evaluates, in the order of the workflow."""
    indices = {index_file(stream.index): f"results/data/{stream.index}/prepare.log" for stream in plan.streams.values()}
    splits = {split_file(stream): f"results/{stream}/split.log" for stream in plan.streams}
    memories = {job.file: f"{job.folder}/remember.log" for job in plan.memory.values()}
    made = ["results/runs.csv"]
    for part in plan.parts():
        seen = [file for stream in part.cells["streams"] if part.study.features for file in features(part, stream)]
        shown = [table for table in tables(part) if table.endswith(TABLE_FORMATS[0])]
        made += [*seen, f"{part.folder}/study.json", *shown, *figures(part), *pages(part)]
    logs = {output: f"{output.rpartition('.')[0]}.log" for output in made}
    return indices | splits | memories | logs


def tables(plan: Plan) -> list[str]:
    """Return every table of every study, in every format."""
    return [
        f"{part.folder}/tables/{stream}/{probe}.{suffix}"
        for part in plan.parts()
        for stream, probe in part.tables()
        for suffix in TABLE_FORMATS
    ]


def figures(plan: Plan) -> list[str]:
    """Return every figure of every study: of accuracies, of features, and of when its jobs worked."""
    return [file for part in plan.parts() for file in _figures(part)]


def _figures(part: Plan) -> list[str]:
    streams, folder = part.cells["streams"], part.folder
    accuracies = [f"{folder}/figures/{stream}/{probe}/{figure}.pdf" for stream, probe, figure in part.figures()]
    features = [f"{folder}/features/{stream}/{figure}.pdf" for stream in streams for figure in part.study.features]
    return [*accuracies, *features, f"{folder}/timeline.pdf"]


def pages(plan: Plan) -> list[str]:
    """Return the report of every study."""
    return [f"{part.folder}/report.html" for part in plan.parts()]


def features(plan: Plan, stream: str) -> list[str]:
    """Return the features of a stream's test images after every task of the first seed of a study."""
    seed = plan.summary()["seeds"][0]
    jobs = [job for job in plan.probe.values() if job.trained and job.spec["seed"] == seed]
    folders = [job.folder for job in jobs if job.streams[0].name == stream]
    return [f"{folder}/features/{stream}.npz" for folder in dict.fromkeys(folders)]
