"""The files of a plan: the targets of the workflow, and the jobs that `cassle status` watches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from cassle.contracts.layout import RUNS, index_file, split_file
from cassle.contracts.plan_file import PlanFile, PlanHead
from cassle.contracts.records import PlanRecord
from cassle.plan.plan import Plan

TABLE_FORMATS = (".md", ".csv", ".tex", ".html")
LOGS = {"prepare_data": "prepare", "split_stream": "split", "build_memory": "build_memory"}
"""Rule -> stem of its log beside its output, if it differs from that of the output."""


def results(plan: Plan) -> list[str]:
    """Return every checkpoint, memory, record and evaluation.

    They are targets, as tables and figures are: Snakemake does not miss an intermediate file by itself.
    """
    checkpoints = [job.at.checkpoint for job in plan.train.values()]
    memories = [job.file for job in plan.memory.values()]
    return [*checkpoints, *memories, *records(plan), *plan.probe]


def records(plan: Plan) -> list[str]:
    """Return the record of every training."""
    return [job.at.record for job in plan.train.values()]


def jobs(plan: Plan) -> dict[str, list[str]]:
    """Return rule -> names of its jobs, in the order of the workflow: outputs, and directories of trainings.

    Rules without a job are left out.
    """
    parts = plan.parts()
    snapshots = [(part, stream) for part in parts if part.study.features for stream in part.summary().streams]
    found = {
        "prepare_data": sorted({index_file(stream.index) for stream in plan.streams.values()}),
        "split_stream": [split_file(stream) for stream in plan.streams],
        "train_task": list(plan.train),
        "build_memory": [job.file for job in plan.memory.values()],
        "probe_checkpoint": [file for file, job in plan.probe.items() if job.at is not None],
        "probe_random_network": [file for file, job in plan.probe.items() if job.at is None],
        "extract_features": list(dict.fromkeys(file for part, stream in snapshots for file in features(part, stream))),
        "collect_runs": [RUNS],
    }
    for rule, file in (one for part in parts for one in _shown(part)):
        found.setdefault(rule, []).append(file)
    return {rule: names for rule, names in found.items() if names}


def _shown(part: Plan) -> Iterator[tuple[str, str]]:
    """Yield the (rule, output) of every table, figure and page of a study, and of its record."""
    folder = part.folder
    yield "describe_study", folder.study
    for stream, probe in part.tables():
        yield "make_table", folder.table(stream, probe)
    for stream, probe, figure in part.figures():
        yield "draw_figure", folder.figure(stream, probe, figure)
    for stream in dict.fromkeys(row.stream for row in part.rows):
        for figure in part.study.features:
            yield "draw_features", folder.feature_figure(stream, figure)
    yield "draw_timeline", folder.timeline()
    yield "write_page", folder.page


def _made_by(plan: Plan, *rules: str) -> list[str]:
    """Return the outputs of rules of tables and figures, study by study."""
    return [file for part in plan.parts() for rule, file in _shown(part) if rule in rules]


def other_jobs(plan: Plan) -> dict[str, str]:
    """Return output -> log of every job that neither trains nor evaluates, in the order of the workflow."""
    others = {rule: files for rule, files in jobs(plan).items() if not rule.startswith(("train_", "probe_"))}
    return {file: _log(rule, file) for rule, files in others.items() for file in files}


def _log(rule: str, output: str) -> str:
    file = PurePosixPath(output)
    return str(file.with_name(f"{LOGS.get(rule, file.stem)}.log"))


def tables(plan: Plan) -> list[str]:
    """Return every table of every study, in every format."""
    shown = _made_by(plan, "make_table")
    return [f"{table.removesuffix(TABLE_FORMATS[0])}{suffix}" for table in shown for suffix in TABLE_FORMATS]


def figures(plan: Plan) -> list[str]:
    """Return every figure of every study: of accuracies, of features, and the timeline."""
    return _made_by(plan, "draw_figure", "draw_features", "draw_timeline")


def pages(plan: Plan) -> list[str]:
    """Return the report of every study."""
    return _made_by(plan, "write_page")


def features(plan: Plan, stream: str) -> list[str]:
    """Return the features of a stream's test images after every task of the first seed of a study."""
    seed = plan.summary().seeds[0]
    jobs = [job for job in plan.probe.values() if job.at is not None and job.spec.seed == seed]
    folders = [job.at for job in jobs if job.at is not None and job.spec.stream.name == stream]
    return [folder.features(stream) for folder in dict.fromkeys(folders)]


def plan_record(plan: Plan) -> PlanRecord:
    """Return the jobs of a plan, as `cassle status` reads them."""
    return PlanRecord(
        host=os.uname().nodename,
        train=list(plan.train),
        probes=list(plan.probe),
        trackers=plan.study.trackers(),
        others=other_jobs(plan),
    )


def plan_file(plan: Plan, complete: bool = True) -> PlanFile:
    """Return the plan file of a plan; without ``complete``, its jobs alone, without tables and figures."""
    parts = {part.study.name: part for part in plan.parts()} if complete else {}
    head = PlanHead(
        site=plan.study.site(),
        figures={name: figures(part) for name, part in parts.items()},
        features={
            name: {stream: features(part, stream) for stream in part.summary().streams} if part.study.features else {}
            for name, part in parts.items()
        },
    )
    studies = {name: part.summary() for name, part in parts.items()}
    return PlanFile(head, plan.streams, plan.train, plan.memory, plan.probe, studies)
