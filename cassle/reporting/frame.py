"""``runs.csv``: one tidy row per run, task, evaluated task and probe."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from cassle.errors import DataError
from cassle.files import read_json, write_text

COLUMNS = {
    "stream": "str",
    "scenario": "str",
    "data_set": "str",
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


def write_runs(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV, completely or not at all."""
    text = io.StringIO()
    pd.DataFrame(list(rows), columns=list(COLUMNS)).to_csv(text, index=False, lineterminator="\n")
    write_text(path, text.getvalue())


def read_runs(path: str | Path) -> pd.DataFrame:
    """Read ``runs.csv``; `DataError` if it is missing, damaged or has other columns."""
    if not Path(path).is_file():
        raise DataError(f"there is no {path}; check the path, or run `cassle collect`, which writes it")
    remedy = "delete it and run `cassle collect`"
    try:
        frame = pd.read_csv(
            path, dtype=COLUMNS, keep_default_na=False, na_values={"accuracy": [""], "task_aware": [""]}
        )
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; {remedy}") from error
    if list(frame.columns) != list(COLUMNS):
        missing = sorted(set(COLUMNS) - set(frame.columns))
        raise DataError(f"{path} is not a table of runs (it lacks {', '.join(missing) or 'nothing'}); {remedy}")
    return frame


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read what a study's tables show; `DataError` if the file says nothing of the kind."""
    value = read_json(path)
    if not isinstance(value, dict) or not {"name", "backbones", "objectives", "strategies", "seeds"} <= set(value):
        raise DataError(f"{path} does not describe a study; delete it and run the workflow again")
    return value


def title_of(study: dict[str, Any], stream: str, probe: str) -> str:
    """Return what a table is called: stream, probe, and the preset if it is not the usual one."""
    presets = [preset for preset in study.get("presets", []) if preset != "clean"]
    stream, probe = (study.get("names", {}).get(label, label) for label in (stream, probe))
    return f"{stream}, probe {probe}" + (f", preset {' and '.join(study['presets'])}" if presets else "")


def tables_of(study: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the (stream, probe) of every table of a study, in its order; without ``rows``, every pair is one."""
    if "rows" in study:
        return list(dict.fromkeys((row["stream"], row["probe"]) for row in study["rows"]))
    return [(stream, probe) for stream in study["streams"] for probe in study["probes"]]


def rows_of(study: dict[str, Any], stream: str, probe: str) -> list[tuple[str, str, str]]:
    """Return the (backbone, objective, strategy) of every row of a table, in the order of the study's lists."""
    grid = product(study["backbones"], study["objectives"], study["strategies"])
    if "rows" not in study:
        return list(grid)
    keys = ("backbone", "objective", "strategy")
    own = {tuple(row[key] for key in keys) for row in study["rows"] if (row["stream"], row["probe"]) == (stream, probe)}
    return [place for place in grid if place in own]
