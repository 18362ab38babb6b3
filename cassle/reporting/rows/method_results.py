"""The methods of a study's table: which runs belong to each, and what is known of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cassle.contracts.layout import OFFLINE, ONLINE, RANDOM
from cassle.contracts.summary import StudyRecord
from cassle.evaluation.metrics import average_accuracy
from cassle.reporting.rows.benchmark import spent_on_run
from cassle.reporting.rows.frame import EXECUTION
from cassle.reporting.rows.matrix import Matrix, Result, Titles, matrix_of
from cassle.reporting.rows.names import RANDOM_TITLE, shown_names
from cassle.reporting.rows.published import Published, published


def methods_of(
    runs: pd.DataFrame, study: StudyRecord, stream: str, probe: str, jobs: pd.DataFrame | None = None
) -> list[Result]:
    """Return the methods of a study's table in its order: per backbone, random, then per objective its strategies.

    They are called by the study's names for labels. ``jobs``: rows of ``benchmark.csv``; without them, no hours are
    known.
    """
    rows = runs[(runs["stream"] == stream) & (runs["probe"] == probe) & runs["seed"].isin(study.seeds)]
    seeds = tuple(study.seeds)

    methods = []
    wanted = study.rows_of(stream, probe)
    shown = shown_names(wanted, study.names)

    def titles_of(backbone: str, objective: str, strategy: str) -> Titles:
        return Titles(
            study.printed("backbones", shown[backbone]),
            study.printed("objectives", shown[objective]),
            study.printed("strategies", shown[strategy]),
        )

    def others(*place: str, epochs: int | None = None) -> dict[str, Published]:
        if study.own_recipes:  # where every label means other settings
            return {}
        return published(*map(study.name_of, (stream, *place, probe)), epochs=epochs)

    for backbone in dict.fromkeys(place[0] for place in wanted):
        own = rows[rows["backbone"] == backbone]
        parts = dict(iter(own.groupby(["objective", "strategy"])))
        untrained = parts.get(("", RANDOM), own[:0])
        matrices, aware = _matrices(untrained, single=True), _aware(untrained, single=True)
        random = None if probe == ONLINE else {seed: matrix[0] for seed, matrix in matrices.items()}
        if random:
            found = others(backbone, "", RANDOM)
            ran = _execution(untrained)
            titles = Titles(study.printed("backbones", shown[backbone]), "", RANDOM_TITLE)
            methods.append(
                Result(shown[backbone], "", RANDOM, seeds, matrices, aware, random, ran, found, titles=titles)
            )
        for objective, strategy in (place[1:] for place in wanted if place[0] == backbone):
            part = parts.get((objective, strategy), own[:0])
            single, epochs = strategy == OFFLINE, wanted[backbone, objective, strategy].epochs
            measured = _matrices(part, single)
            spent = _spent(jobs, study.trained_on(stream, strategy), (backbone, objective, strategy), measured)
            method = Result(
                shown[backbone],
                shown[objective],
                shown[strategy],
                seeds,
                measured,
                aware=_aware(part, single),
                random=random,
                execution=_execution(part),
                published=others(backbone, objective, strategy, epochs=epochs),
                epochs=epochs,
                hours={seed: seconds / 3600 for seed, seconds in spent["seconds"].items()},
                flops=spent["flops"],
                titles=titles_of(backbone, objective, strategy),
            )
            methods.append(method)
    return methods


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
