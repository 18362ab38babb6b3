"""From the files of finished jobs to one tidy row per run, task, evaluated task and probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cassle.contracts.layout import FIRST, OFFLINE, RANDOM, number_of
from cassle.contracts.records import Evaluated, Trained, read_record
from cassle.core.errors import DataError
from cassle.plan.presets import preset_of
from cassle.reporting.rows.duplicates import Found, settled
from cassle.reporting.rows.frame import EXECUTION

Row = dict[str, Any]
RUN = ("stream", "backbone", "objective", "strategy", "seed", "task", "probe")
IDENTITY = (*RUN, "evaluated_task")
"""What makes a row; the rest is what was found."""


def collect(results: Path) -> list[Row]:
    """Return the rows of every finished evaluation under a results folder, in a fixed order.

    A shared first task stands once per strategy that goes on from it, so that every strategy's matrix is complete. What
    several studies have evaluated stands there once. Raises `DataError` for a file that is no record, for a folder that
    is none of results, and for evaluations of the same that contradict each other.
    """
    found: dict[tuple[Any, ...], dict[Path, Found]] = {}
    for read, pattern in ((_trained, "*/*/*/*/seed*/task*"), (_random, f"*/*/{RANDOM}/seed*")):
        for file in sorted(results.glob(f"{pattern}/probes/*/*.json")):
            for evaluated, row in read(file):
                same = found.setdefault(tuple(row[key] for key in RUN), {})
                same.setdefault(file, Found(evaluated, [])).rows.append(row)
    return settled(found.values())


def _trained(file: Path) -> Iterator[tuple[Evaluated, Row]]:
    folder = file.parents[2]
    backbone, objective, strategy = folder.parts[-5:-2]
    seed, task = number_of(folder.parent, "seed"), number_of(folder, "task")
    record = folder / "train.json"
    if not record.is_file():
        return
    train, probe = read_record(Trained, record), read_record(Evaluated, file)
    if probe.checkpoint != train.checkpoint:
        print(f"left out: {file} evaluates an earlier checkpoint than the one beside it")
        return
    try:
        preset, scenario = preset_of(train.spec), train.spec["stream"]["scenario"]
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{record}: its settings are incomplete ({error}); delete that file, and train again"
        ) from error
    same = {
        "backbone": backbone,
        "objective": objective,
        "seed": seed,
        "task": task,
        **train.model_dump(include=set(EXECUTION)),
        "preset": preset,
        "checkpoint": train.checkpoint,
    }
    if scenario == "all":
        names = [OFFLINE]
    elif strategy == FIRST:
        names = list(_heirs(folder, train.checkpoint))
    else:
        names = [strategy]
    for name in names:
        yield from _rows(probe, {**same, "strategy": name})


def _heirs(first: Path, checkpoint: str) -> Iterator[str]:
    """Yield the strategies whose second task went on from this shared first task."""
    seed = first.parent.name
    for record in sorted(first.parents[2].glob(f"*/{seed}/task1/train.json")):
        strategy = record.parents[2].name
        if (record.parents[1] / "task0" / "train.json").exists():
            continue
        if read_record(Trained, record).parent == checkpoint:
            yield strategy
        else:
            print(f"left out: task 0 of {record.parents[1]}, which went on from another first task")


def _random(file: Path) -> Iterator[tuple[Evaluated, Row]]:
    probe = read_record(Evaluated, file)
    constants = dict.fromkeys((*EXECUTION, "checkpoint"), "")
    same = {
        **constants,
        "backbone": file.parents[4].name,
        "objective": "",
        "strategy": RANDOM,
        "seed": number_of(file.parents[2], "seed"),
        "task": 0,
    }
    yield from _rows(probe, same)


def _rows(probe: Evaluated, same: Row) -> Iterator[tuple[Evaluated, Row]]:
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
