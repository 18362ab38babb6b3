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
from cassle.paths import ONLINE
from cassle.reporting.frame import EXECUTION, rows_of
from cassle.reporting.jobs import spent_on_run
from cassle.reporting.names import OFFLINE, RANDOM, shown_names
from cassle.reporting.published import Published, published

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cell:
    """All seeds of one (backbone, objective, strategy) on a stream, under one probe.

    ``seeds``: those the study asks for. ``matrices``: seed -> A (models, tasks), fractions, NaN where nothing was
    measured; offline and random have one row. ``aware``: the same where the task is known, if it was asked.
    ``random``: seed -> R (tasks,) of the untrained network, None under a probe that it does not have. ``execution``:
    column -> the values its runs have. ``published``: metric, or number of a task -> what others report. ``epochs``: of
    each task, if the study says so. ``hours``, ``flops``: seed -> hours and operations of training, of seeds that have
    A and whose tasks are all on record.
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

    def by_seed(self, metric: Callable[[Cell, int], float]) -> dict[int, float]:
        """Return a metric of every seed that has it."""
        found = {seed: metric(self, seed) for seed in self.matrices}
        return {seed: value for seed, value in found.items() if not np.isnan(value)}

    def values(self, metric: Callable[[Cell, int], float]) -> list[float]:
        """Return a metric of every seed that has it, without the seeds."""
        return list(self.by_seed(metric).values())

    @cached_property
    def mixed(self) -> list[str]:
        """Columns of execution in which runs of this cell differ."""
        return [column for column, values in self.execution.items() if len(values) > 1]


def accuracy(cell: Cell, seed: int) -> float:
    """Return the average accuracy A of a seed."""
    return average_accuracy(cell.matrices[seed])


def forgotten(cell: Cell, seed: int) -> float:
    """Return the forgetting F of a seed; NaN for offline and random, which have one model only, and for `transfer`."""
    matrix = cell.matrices[seed]
    return forgetting(matrix) if _continual(matrix) else float("nan")


def transferred(cell: Cell, seed: int) -> float:
    """Return the forward transfer T of a seed; NaN without the random network or with one model only."""
    matrix = cell.matrices[seed]
    if not _continual(matrix) or seed not in (cell.random or {}):
        return float("nan")
    return forward_transfer(matrix, (cell.random or {})[seed])


def accuracy_aware(cell: Cell, seed: int) -> float:
    """Return the average accuracy of a seed where the task is known; NaN if it was not asked."""
    return average_accuracy(cell.aware[seed]) if seed in cell.aware else float("nan")


def _continual(matrix: Matrix) -> bool:
    """Return whether models and evaluated tasks are the same ones; a probe may look at tasks of another stream."""
    models, tasks = matrix.shape
    return bool(models == tasks > 1)


METRICS: dict[str, Callable[[Cell, int], float]] = {"A": accuracy, "F": forgotten, "T": transferred}
"""Letter of the paper -> metric."""


def matrix_of(rows: pd.DataFrame, models: int, tasks: int, column: str = "accuracy") -> Matrix:
    """Return A (models, tasks) of the rows of one run under one probe; NaN where there is no row."""
    matrix = np.full((models, tasks), np.nan)
    matrix[rows["task"].to_numpy(), rows["evaluated_task"].to_numpy()] = rows[column].to_numpy()
    return matrix


def cells_of(
    runs: pd.DataFrame, study: dict[str, Any], stream: str, probe: str, jobs: pd.DataFrame | None = None
) -> list[Cell]:
    """Return the cells of a study's table in its order: per backbone, random, then per objective its strategies.

    Where the study says which of them belong together (``rows``), the others are left out. They are called by the
    study's names for labels. ``jobs``: rows of ``benchmark.csv``; without them, no hours are known.
    """
    rows = runs[(runs["stream"] == stream) & (runs["probe"] == probe) & runs["seed"].isin(study["seeds"])]
    seeds = tuple(study["seeds"])

    cells = []
    wanted = rows_of(study, stream, probe)
    names = study.get("names", {})
    shown, epochs = shown_names(wanted, names), _epochs(study, stream, probe)

    def others(*place: str) -> dict[str, Published]:
        if study.get("own_recipes"):  # where every label means other settings
            return {}
        known = (names.get(label, label) for label in (stream, *place, probe))
        return published(*known, epochs=epochs.get(place))

    for backbone in dict.fromkeys(place[0] for place in wanted):
        own = rows[rows["backbone"] == backbone]
        parts = dict(iter(own.groupby(["objective", "strategy"])))
        untrained = parts.get(("", RANDOM), own[:0])
        matrices, aware = _matrices(untrained, single=True), _aware(untrained, single=True)
        random = None if probe == ONLINE else {seed: matrix[0] for seed, matrix in matrices.items()}
        if random:
            found = others(backbone, "", RANDOM)
            ran = _execution(untrained)
            cells.append(Cell(shown[backbone], "", RANDOM, seeds, matrices, aware, random, ran, found))
        for objective, strategy in (place[1:] for place in wanted if place[0] == backbone):
            part = parts.get((objective, strategy), own[:0])
            single = strategy == OFFLINE
            measured = _matrices(part, single)
            spent = _spent(jobs, place_of(study, stream, strategy), (backbone, objective, strategy), measured)
            cell = Cell(
                shown[backbone],
                shown[objective],
                shown[strategy],
                seeds,
                measured,
                aware=_aware(part, single),
                random=random,
                execution=_execution(part),
                published=others(backbone, objective, strategy),
                epochs=epochs.get((backbone, objective, strategy)),
                hours={seed: seconds / 3600 for seed, seconds in spent["seconds"].items()},
                flops=spent["flops"],
            )
            cells.append(cell)
    return cells


def place_of(study: dict[str, Any], stream: str, strategy: str) -> str:
    """Return the stream that a cell's models are trained on: for joint training that of everything."""
    if strategy != OFFLINE:
        return stream
    joint: str = study.get("joint", {}).get(stream, f"{stream.partition('-')[0]}-all")
    return joint


def _epochs(study: dict[str, Any], stream: str, probe: str) -> dict[tuple[str, ...], int]:
    """Return (backbone, objective, strategy) -> epochs per task, of the rows of a table whose study says so."""
    keys = ("backbone", "objective", "strategy")
    rows = [row for row in study.get("rows", []) if (row["stream"], row["probe"]) == (stream, probe)]
    return {tuple(row[key] for key in keys): row["epochs"] for row in rows if "epochs" in row}


def _execution(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the values of each column of execution; code counts from the second task, first ones depend on less."""
    later = rows[rows["task"] > 0] if (rows["task"] > 0).any() else rows
    found = {column: set((later if column == "code" else rows)[column]) for column in EXECUTION}
    return {column: sorted(values - {""}) for column, values in found.items()}


def _spent(
    jobs: pd.DataFrame | None, place: str, run: tuple[str, str, str], matrices: dict[int, Matrix]
) -> dict[str, dict[int, float]]:
    """Return column -> seed -> what all trainings of a finished run took of it, where that is known.

    ``place``: the stream that is trained on. A run without A is not finished: what it took so far is no cost of one.
    """
    found: dict[str, dict[int, float]] = {"seconds": {}, "flops": {}}
    if jobs is None:
        return found
    trained = jobs[(jobs["job"] == "train") & (jobs["stream"] == place)]
    for seed, matrix in matrices.items():
        for column, by_seed in found.items():
            value = spent_on_run(trained, *run, seed, len(matrix), column)
            if not np.isnan(average_accuracy(matrix)) and not np.isnan(value):
                by_seed[seed] = value
    return found


def _aware(rows: pd.DataFrame, single: bool) -> dict[int, Matrix]:
    return _matrices(rows[rows["task_aware"].notna()], single, "task_aware")


def _matrices(rows: pd.DataFrame, single: bool, column: str = "accuracy") -> dict[int, Matrix]:
    found = {}
    evaluated = int(rows["evaluated_task"].max()) + 1 if len(rows) else 0  # a probe may look at another stream's tasks
    for seed, part in rows.groupby("seed"):
        models = 1 if single else int(part["tasks"].iloc[0])
        found[int(str(seed))] = matrix_of(part, models, evaluated, column)
    return found
