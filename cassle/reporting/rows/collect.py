"""From the files of finished jobs to one tidy row per run, task, evaluated task and probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cassle.contracts.layout import FIRST, OFFLINE, RANDOM, RECORD, RandomFolder, TaskFolder, probed_folder
from cassle.contracts.records import ProbeRecord, TrainRecord, read_record
from cassle.plan.presets import preset_of
from cassle.reporting.rows.duplicates import EvaluatedFile, settled
from cassle.reporting.rows.frame import EXECUTION

Row = dict[str, Any]
RUN = ("stream", "backbone", "objective", "strategy", "seed", "task", "probe")
IDENTITY = (*RUN, "evaluated_task")
"""What makes a row; the rest is what was found."""


def collect(results: Path) -> list[Row]:
    """Return the rows of every finished evaluation under a results folder, in a fixed order.

    A shared first task has rows for each strategy that starts from it: every strategy's matrix is complete. What
    several studies have evaluated stands there once. Raises `DataError` for a file that is no record, for a folder that
    is none of results, and for evaluations of the same that contradict each other.
    """
    found: dict[tuple[Any, ...], dict[Path, EvaluatedFile]] = {}
    for read, pattern in ((_trained, "*/*/*/*/seed*/task*"), (_random, f"*/*/{RANDOM}/seed*")):
        for file in sorted(results.glob(f"{pattern}/probes/*/*.json")):
            for evaluated, row in read(file):
                same = found.setdefault(tuple(row[key] for key in RUN), {})
                same.setdefault(file, EvaluatedFile(evaluated, [])).rows.append(row)
    return settled(found.values())


def _trained(file: Path) -> Iterator[tuple[ProbeRecord, Row]]:
    folder = probed_folder(file)
    at, record = TaskFolder.parse(folder), folder / RECORD
    if not record.is_file():
        return
    train, probe = read_record(TrainRecord, record), read_record(ProbeRecord, file)
    if probe.checkpoint != train.checkpoint:
        print(f"left out: {file} evaluates an earlier checkpoint than the one beside it")
        return
    same = {
        "backbone": at.backbone,
        "objective": at.objective,
        "seed": at.seed,
        "task": at.task,
        **train.model_dump(include=set(EXECUTION)),
        "preset": preset_of(train.spec),
        "checkpoint": train.checkpoint,
    }
    if train.spec.stream.scenario == "all":
        names = [OFFLINE]
    elif at.strategy == FIRST:
        names = list(_heirs(folder, at, train.checkpoint))
    else:
        names = [at.strategy]
    for name in names:
        yield from _rows(probe, {**same, "strategy": name})


def _heirs(folder: Path, first: TaskFolder, checkpoint: str) -> Iterator[str]:
    """Yield the strategies whose second task started from this shared first task."""
    runs = folder.parent.parent.parent
    for record in sorted(runs.glob(f"*/seed{first.seed}/task1/{RECORD}")):
        at = TaskFolder.parse(record.parent)
        if (record.parent.with_name("task0") / RECORD).exists():
            continue
        if read_record(TrainRecord, record).parent == checkpoint:
            yield at.strategy
        else:
            print(f"left out: task 0 of {record.parent.parent}, which started from another first task")


def _random(file: Path) -> Iterator[tuple[ProbeRecord, Row]]:
    at, probe = RandomFolder.parse(probed_folder(file)), read_record(ProbeRecord, file)
    constants = dict.fromkeys((*EXECUTION, "checkpoint"), "")
    same = {
        **constants,
        "backbone": at.backbone,
        "objective": "",
        "strategy": RANDOM,
        "seed": at.seed,
        "task": 0,
    }
    yield from _rows(probe, same)


def _rows(probe: ProbeRecord, same: Row) -> Iterator[tuple[ProbeRecord, Row]]:
    for name, accuracies in probe.accuracies.items():
        tasks, aware = probe.tasks_of(name), probe.task_aware[name]
        for task, accuracy in enumerate(accuracies):
            yield (
                probe,
                {
                    **same,
                    "stream": probe.stream,
                    "scenario": probe.scenario,
                    "dataset": probe.dataset,
                    "tasks": probe.tasks,
                    "evaluated_task": task,
                    "task_name": tasks[task],
                    "probe": name,
                    "accuracy": accuracy,
                    "task_aware": aware[task],
                    "probe_device": probe.execution.device,
                    "probe_precision": probe.execution.precision[name],
                },
            )
