"""From the files of finished jobs to one tidy row per run, task, evaluated task and probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cassle.files import read_json
from cassle.paths import FIRST, RANDOM
from cassle.presets import preset_of
from cassle.reporting.frame import EXECUTION

Row = dict[str, Any]
IDENTITY = ("stream", "backbone", "objective", "strategy", "seed", "task", "evaluated_task", "probe")
"""What makes a row; the rest is what was found."""
EXECUTED = {**dict.fromkeys(EXECUTION, ""), "processes": 1}
"""How a training ran -> what it is where its record does not say."""


def collect(results: Path) -> list[Row]:
    """Return the rows of every finished evaluation under a results folder, in a fixed order.

    A shared first task stands once per strategy that goes on from it, so that every strategy's matrix is complete. What
    several studies have evaluated stands there once.
    """
    rows = [row for file in sorted(results.glob("*/*/*/*/seed*/task*/probes/*/*.json")) for row in _trained(file)]
    rows += [row for file in sorted(results.glob(f"*/*/{RANDOM}/seed*/probes/*/*.json")) for row in _random(file)]
    return list({tuple(row[key] for key in IDENTITY): row for row in rows}.values())


def _trained(file: Path) -> Iterator[Row]:
    folder = file.parents[2]
    backbone, objective, strategy, seed, task = folder.parts[-5:]
    record = folder / "train.json"
    if not record.is_file():
        return
    train, probe = read_json(record), read_json(file)
    if probe["checkpoint"] != train["checkpoint"]:
        print(f"left out: {file} evaluates an earlier checkpoint than the one beside it")
        return
    same = {
        "backbone": backbone,
        "objective": objective,
        "seed": int(seed.removeprefix("seed")),
        "task": int(task.removeprefix("task")),
        **{column: train.get(column, usual) for column, usual in EXECUTED.items()},
        "preset": preset_of(train["spec"]),
        "checkpoint": train["checkpoint"],
    }
    if train["spec"]["stream"]["scenario"] == "all":
        names = ["offline"]
    elif strategy == FIRST:
        names = list(_heirs(folder, train["checkpoint"]))
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
        if read_json(record)["parent"] == checkpoint:
            yield strategy
        else:
            print(f"left out: task 0 of {record.parents[1]}, which went on from another first task")


def _random(file: Path) -> Iterator[Row]:
    probe = read_json(file)
    constants = dict.fromkeys((*EXECUTION, "checkpoint"), "")
    same = {
        **constants,
        "backbone": file.parents[4].name,
        "objective": "",
        "strategy": "random",
        "seed": int(file.parents[2].name.removeprefix("seed")),
        "task": 0,
    }
    yield from _rows(probe, same)


def _rows(probe: dict[str, Any], same: Row) -> Iterator[Row]:
    for name, accuracies in probe["accuracies"].items():
        tasks = probe.get("own_tasks", {}).get(name, probe["task_names"])
        aware = probe.get("task_aware", {}).get(name)
        for task, accuracy in enumerate(accuracies):
            yield {
                "stream": probe["stream"],
                "scenario": probe["scenario"],
                "data_set": probe["data_set"],
                "tasks": probe["tasks"],
                "evaluated_task": task,
                "task_name": tasks[task],
                "probe": name,
                "accuracy": accuracy,
                "task_aware": None if aware is None else aware[task],
                **same,
            }
