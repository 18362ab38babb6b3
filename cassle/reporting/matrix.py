"""From rows to accuracy matrices, and from those to the numbers of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cassle.evaluation.metrics import average_accuracy, forgetting, forward_transfer
from cassle.reporting.frame import EXECUTION

Matrix = NDArray[np.float64]
OFFLINE, RANDOM = "offline", "random"
"""Strategies that are none: joint training on everything, and no training at all."""


@dataclass(frozen=True, eq=False)
class Cell:
    """All seeds of one (backbone, objective, strategy) on a stream, under one probe.

    ``matrices``: seed -> A (models, tasks), fractions, NaN where nothing was measured; offline and random have one row.
    ``random``: seed -> R (tasks,) of the untrained network. ``execution``: column -> the values its runs have.
    """

    backbone: str
    objective: str
    strategy: str
    matrices: dict[int, Matrix]
    random: dict[int, Matrix] = field(default_factory=dict)
    execution: dict[str, list[str]] = field(default_factory=dict)

    def values(self, metric: Callable[[Cell, int], float]) -> list[float]:
        """Return a metric of every seed that has it."""
        found = [metric(self, seed) for seed in self.matrices]
        return [value for value in found if not np.isnan(value)]

    @cached_property
    def mixed(self) -> list[str]:
        """Columns of execution in which runs of this cell differ."""
        return [column for column, values in self.execution.items() if len(values) > 1]


def accuracy(cell: Cell, seed: int) -> float:
    """Return the average accuracy A of a seed."""
    return average_accuracy(cell.matrices[seed])


def forgotten(cell: Cell, seed: int) -> float:
    """Return the forgetting F of a seed; NaN for offline and random, which have one model only."""
    matrix = cell.matrices[seed]
    return forgetting(matrix) if len(matrix) > 1 else float("nan")


def transferred(cell: Cell, seed: int) -> float:
    """Return the forward transfer T of a seed; NaN without the random network or with one model only."""
    matrix = cell.matrices[seed]
    if len(matrix) == 1 or seed not in cell.random:
        return float("nan")
    return forward_transfer(matrix, cell.random[seed])


METRICS: dict[str, Callable[[Cell, int], float]] = {"A": accuracy, "F": forgotten, "T": transferred}
"""Letter of the paper -> metric."""


def matrix_of(rows: pd.DataFrame, models: int, tasks: int) -> Matrix:
    """Return A (models, tasks) of the rows of one run under one probe; NaN where there is no row."""
    matrix = np.full((models, tasks), np.nan)
    matrix[rows["task"].to_numpy(), rows["evaluated_task"].to_numpy()] = rows["accuracy"].to_numpy()
    return matrix


def cells_of(runs: pd.DataFrame, study: dict[str, Any], stream: str, probe: str) -> list[Cell]:
    """Return the cells of a study's table in its order: per backbone, random, then per objective its strategies."""
    rows = runs[(runs["stream"] == stream) & (runs["probe"] == probe) & runs["seed"].isin(study["seeds"])]
    cells = []
    for backbone in study["backbones"]:
        own = rows[rows["backbone"] == backbone]
        untrained = _matrices(own[own["strategy"] == RANDOM], single=True)
        random = {seed: matrix[0] for seed, matrix in untrained.items()}
        if random:
            cells.append(Cell(backbone, "", RANDOM, untrained, random))
        for objective in study["objectives"]:
            for strategy in study["strategies"]:
                part = own[(own["objective"] == objective) & (own["strategy"] == strategy)]
                matrices = _matrices(part, single=strategy == OFFLINE)
                cells.append(Cell(backbone, objective, strategy, matrices, random, _execution(part)))
    return cells


def _execution(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the values of each column of execution; code counts from the second task, first ones depend on less."""
    later = rows[rows["task"] > 0] if (rows["task"] > 0).any() else rows
    return {column: sorted(set((later if column == "code" else rows)[column])) for column in EXECUTION}


def _matrices(rows: pd.DataFrame, single: bool) -> dict[int, Matrix]:
    found = {}
    for seed, part in rows.groupby("seed"):
        tasks = int(part["tasks"].iloc[0])
        found[int(str(seed))] = matrix_of(part, 1 if single else tasks, tasks)
    return found


def spread(values: list[float]) -> float:
    """Return the standard deviation over seeds (n - 1 in the denominator); NaN for fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
