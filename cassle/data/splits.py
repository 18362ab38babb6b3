"""The split: the task of each sample of a dataset in a stream (CaSSLe, 2112.04215, Section 5.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from cassle.core.errors import DataError
from cassle.core.files import write_with
from cassle.data.base import Index, IntArray, read_arrays
from cassle.data.streams import Stream, class_order

DATA_SPLIT_SEED = 42
"""Seed of the random parts of data-incremental streams, as in the original release."""


@dataclass(frozen=True)
class Split:
    """The task of each sample.

    ``train_task`` (N,) and ``test_task`` (M,) int16, -1 for samples in no task; ``names`` and ``classes`` per
    task.
    """

    stream: str
    names: list[str]
    classes: list[list[int]]
    train_task: NDArray[np.int16]
    test_task: NDArray[np.int16]


def random_parts(count: int, tasks: int) -> NDArray[np.int16]:
    """Return equal random parts of ``count`` images; the remainder goes to the first part."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(DATA_SPLIT_SEED)).numpy()
    sizes = [count // tasks] * tasks
    sizes[0] += count % tasks
    parts = np.empty(count, dtype=np.int16)
    parts[order] = np.repeat(np.arange(tasks, dtype=np.int16), sizes)
    return parts


def split(stream: Stream, index: Index) -> Split:
    """Return the tasks of a stream.

    class: classes in order, cut into consecutive parts of equal size (the first ones larger by one if they do not
    divide); data: equal random parts, of the test images as well, so that the mean over tasks is the accuracy on the
    whole test set; domain: one domain per task; all: everything in one task.
    """
    stream.check(index.num_classes, index.domains)
    everything = list(range(index.num_classes))
    halves = (index.train, index.test)
    names = [f"part {task + 1}" for task in range(stream.tasks)]
    classes = [everything] * stream.tasks
    if stream.scenario == "all":
        tasks = [np.zeros(len(half.labels), dtype=np.int16) for half in halves]
        names = ["all"]
    elif stream.scenario == "data":
        tasks = [random_parts(len(half.labels), stream.tasks) for half in halves]
    elif stream.scenario == "class":
        parts = np.array_split(np.array(class_order(stream, index.num_classes)), stream.tasks)
        classes = [sorted(int(c) for c in part) for part in parts]
        tasks = [_lookup(half.labels, classes, index.num_classes) for half in halves]
        names = [f"classes {task + 1}" for task in range(stream.tasks)]
    else:
        names = list(index.domains[: stream.tasks]) if stream.domain_order == "paper" else list(stream.domain_order)
        places = [[index.domains.index(name)] for name in names]
        tasks = [_lookup(half.domains, places, len(index.domains)) for half in halves]
    return Split(stream.name, names, classes, *tasks)


def _lookup(values: IntArray, groups: list[list[int]], count: int) -> NDArray[np.int16]:
    """Return the number of the group each value belongs to, -1 for none."""
    table = np.full(count, -1, dtype=np.int16)
    for number, group in enumerate(groups):
        table[group] = number
    return table[values]


def check_tasks(made: Split) -> None:
    """Raise `DataError` if a task has nothing to train on or to be evaluated on."""
    for half, tasks in (("training", made.train_task), ("test", made.test_task)):
        empty = set(range(len(made.names))) - set(np.unique(tasks).tolist())
        if empty:
            task = min(empty)
            raise DataError(
                f"{made.stream}: task {task} ({made.names[task]}) has no {half} images; make fewer tasks, take another "
                "order, or add images to the dataset and run `cassle prepare` again"
            )


def describe(made: Split) -> str:
    """Return a Markdown table of the tasks."""
    lines = [
        f"# {made.stream}",
        "",
        "| task | name | training images | test images | classes |",
        "|---|---|---|---|---|",
    ]
    for task, (name, classes) in enumerate(zip(made.names, made.classes, strict=True)):
        train, test = (int((half == task).sum()) for half in (made.train_task, made.test_task))
        listed = ", ".join(map(str, classes)) if len(classes) <= 20 else f"{len(classes)} classes"
        lines.append(f"| {task} | {name} | {train} | {test} | {listed} |")
    return "\n".join(lines) + "\n"


def write_split(path: str | Path, made: Split) -> None:
    """Write a split, completely or not at all."""
    facts = np.array(json.dumps({"stream": made.stream, "names": made.names, "classes": made.classes}))

    def write(file: IO[bytes]) -> None:
        np.savez_compressed(file, facts=facts, train_task=made.train_task, test_task=made.test_task)

    write_with(path, write)


def read_split(path: str | Path) -> Split:
    """Read a split; `DataError` if it is missing, damaged or of another kind."""
    arrays = read_arrays(path, "split", "split")
    try:
        facts = json.loads(str(arrays["facts"]))
        return Split(facts["stream"], facts["names"], facts["classes"], arrays["train_task"], arrays["test_task"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not the split of a stream ({error}); delete it and run `cassle split`") from error
