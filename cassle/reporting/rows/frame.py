"""``runs.csv``: one tidy row per run, task, evaluated task and probe."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cassle.core.errors import DataError
from cassle.core.files import write_text

COLUMNS = {
    "stream": "str",
    "scenario": "str",
    "dataset": "str",
    "tasks": "int64",
    "backbone": "str",
    "objective": "str",
    "strategy": "str",
    "seed": "int64",
    "task": "int64",
    "evaluated_task": "int64",
    "task_name": "str",
    "probe": "str",
    "accuracy": "float64",
    "task_aware": "float64",
    "preset": "str",
    "device": "str",
    "processes": "str",
    "precision": "str",
    "loader": "str",
    "threads": "str",
    "probe_device": "str",
    "probe_precision": "str",
    "code": "str",
    "checkpoint": "str",
}
"""Column -> type; ``accuracy`` is a fraction of 1, ``task_aware`` the same where the task is known (empty where it was
not asked); no time is here, so that an interrupted study ends in the same file.

``strategy`` is ``offline`` for joint training and ``random`` (with an empty ``objective``) for the untrained network.
"""
EXECUTION = (
    "preset",
    "device",
    "processes",
    "precision",
    "loader",
    "threads",
    "probe_device",
    "probe_precision",
    "code",
)
"""Columns that say how a run was trained and evaluated, and by which training code; what mixes them is marked."""


REMEDY = "delete it and run `cassle collect`"
"""What to do about a damaged table."""


def write_runs(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV, completely or not at all."""
    text = io.StringIO()
    pd.DataFrame(list(rows), columns=list(COLUMNS)).to_csv(text, index=False, lineterminator="\n")
    write_text(path, text.getvalue())


def read_runs(path: str | Path) -> pd.DataFrame:
    """Read ``runs.csv``; `DataError` if it is missing, damaged, has other columns or a number out of its range."""
    if not Path(path).is_file():
        raise DataError(f"there is no {path}; check the path, or run `cassle collect`, which writes it")
    try:
        frame = pd.read_csv(
            path, dtype=COLUMNS, keep_default_na=False, na_values={"accuracy": [""], "task_aware": [""]}
        )
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; {REMEDY}") from error
    if list(frame.columns) != list(COLUMNS):
        missing = sorted(set(COLUMNS) - set(frame.columns))
        raise DataError(f"{path} is not a table of runs (it lacks {', '.join(missing) or 'nothing'}); {REMEDY}")
    check_range(frame, path, ("accuracy", "task_aware"), 0, 1)
    check_range(frame, path, ("task", "evaluated_task"), 0)
    check_range(frame, path, ("tasks",), 1)
    return frame


def check_range(
    frame: pd.DataFrame, path: str | Path, columns: Iterable[str], low: float, high: float = sys.float_info.max
) -> None:
    """Raise `DataError` that names the line of the first number that is not within [low, high]; missing ones pass."""
    for column in columns:
        wrong = ~frame[column].between(low, high) & frame[column].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            wanted = f"a number from {low} to {high}" if high != sys.float_info.max else f"a finite number from {low}"
            raise DataError(
                f"{path}, line {row + 2}: {column} = {frame[column].iloc[row]} should be {wanted}; {REMEDY}"
            )
