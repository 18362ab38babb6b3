"""Accuracy matrices, and the numbers of a table that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cassle.contracts.layout import GIVEN, OFFLINE, RANDOM
from cassle.evaluation.metrics import average_accuracy, forgetting, forward_transfer
from cassle.reporting.rows.frame import EXECUTION
from cassle.reporting.rows.published import Published

Matrix = NDArray[np.float64]


class Titles(NamedTuple):
    """Titles of a run's components as tables and figures print them."""

    backbone: str
    objective: str
    strategy: str


@dataclass(frozen=True, eq=False)
class Result:
    """All seeds of one (backbone, objective, strategy) on a stream, under one probe.

    ``seeds``: those the study asks for. ``matrices``: seed -> A (models, tasks), fractions, NaN where nothing was
    measured; offline and random have one row. ``aware``: the same where the task is known, if it was asked.
    ``random``: seed -> R (tasks,) of the untrained network, None under a probe that it does not have. ``execution``:
    column -> the values its runs have. ``published``: metric, or number of a task -> what others report. ``epochs``: of
    each task, if the study says so. ``hours``, ``flops``: seed -> hours and operations of training, of seeds that have
    A and whose tasks are all on record. ``titles``: printed in place of the names, if they differ.
    """

    backbone: str
    objective: str
    strategy: str
    seeds: tuple[int, ...]
    matrices: dict[int, Matrix]
    aware: dict[int, Matrix] = field(default_factory=dict)
    random: dict[int, Matrix] | None = None
    execution: dict[str, list[str]] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    epochs: int | None = None
    hours: dict[int, float] = field(default_factory=dict)
    flops: dict[int, float] = field(default_factory=dict)
    titles: Titles | None = None

    @property
    def printed(self) -> Titles:
        """The titles, or the names where there are none."""
        return self.titles or Titles(self.backbone, self.objective, self.strategy)

    @property
    def continual(self) -> bool:
        """Whether a strategy met the tasks one after the other, so that there is something to forget."""
        return self.strategy not in (OFFLINE, RANDOM)

    def has(self, metric: str) -> bool:
        """Whether a metric means anything here, measured or not."""
        if metric not in ("F", "T"):
            return True
        own_tasks = all(_continual(matrix) for matrix in self.matrices.values())
        return self.continual and own_tasks and (metric == "F" or self.random is not None)

    def by_seed(self, metric: Callable[[Result, int], float]) -> dict[int, float]:
        """Return a metric of every seed that has it."""
        found = {seed: metric(self, seed) for seed in self.matrices}
        return {seed: value for seed, value in found.items() if not np.isnan(value)}

    def values(self, metric: Callable[[Result, int], float]) -> list[float]:
        """Return a metric of every seed that has it, without the seeds."""
        return list(self.by_seed(metric).values())

    @cached_property
    def mixed(self) -> list[str]:
        """Columns of execution in which runs of this method differ."""
        return [column for column, values in self.execution.items() if len(values) > 1]


def accuracy(method: Result, seed: int) -> float:
    """Return the average accuracy A of a seed."""
    return average_accuracy(method.matrices[seed])


def forgotten(method: Result, seed: int) -> float:
    """Return the forgetting F of a seed; NaN for offline and random, which have one model only, and for `transfer`."""
    matrix = method.matrices[seed]
    return forgetting(matrix) if _continual(matrix) else float("nan")


def transferred(method: Result, seed: int) -> float:
    """Return the forward transfer T of a seed; NaN without the random network or with one model only."""
    matrix = method.matrices[seed]
    if not _continual(matrix) or seed not in (method.random or {}):
        return float("nan")
    return forward_transfer(matrix, (method.random or {})[seed])


def accuracy_aware(method: Result, seed: int) -> float:
    """Return the average accuracy of a seed where the task is known; NaN if it was not asked."""
    return average_accuracy(method.aware[seed]) if seed in method.aware else float("nan")


def _continual(matrix: Matrix) -> bool:
    """Return whether models and evaluated tasks are the same ones; a probe may look at tasks of another stream."""
    models, tasks = matrix.shape
    return bool(models == tasks > 1)


METRICS: dict[str, Callable[[Result, int], float]] = {"A": accuracy, "F": forgotten, "T": transferred}
"""Letter of the paper -> metric."""


def matrix_of(rows: pd.DataFrame, models: int, tasks: int, column: str = "accuracy") -> Matrix:
    """Return A (models, tasks) of the rows of one run under one probe; NaN where there is no row."""
    matrix = np.full((models, tasks), np.nan)
    matrix[rows["task"].to_numpy(), rows["evaluated_task"].to_numpy()] = rows[column].to_numpy()
    return matrix


def unlike(methods: Iterable[Result]) -> list[str]:
    """Return the columns of execution in which the runs of methods, all together, differ.

    Code does not count between methods, as every strategy has its own; within one it does (`Result.mixed`). Nor does
    an explicit first checkpoint, from which all strategies continue.
    """
    values: dict[str, set[str]] = {column: set() for column in EXECUTION if column != "code"}
    for method in methods:
        for column, found in values.items():
            found.update(value for value in method.execution.get(column, []) if value != GIVEN)
    return [column for column, found in values.items() if len(found) > 1]
