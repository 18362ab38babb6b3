"""Published numbers: what others report of a cell, and where they say so.

``published.csv`` has one row per number: ``kind`` (how far to trust it), ``dataset``, ``scenario``, ``tasks``,
``objective``, ``strategy``, ``probe``, ``metric``, ``value`` in per cent, ``source``. All of them are of ResNet-18.
A number stands beside a cell of exactly the same data set, scenario, tasks, objective, strategy, probe and metric; a
number whose source does not name its probe stands nowhere.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cassle.errors import CassleError
from cassle.reporting.names import OFFLINE, RANDOM

FILE = Path(__file__).parent / "published.csv"
KINDS = (
    "official",
    "official_read_off",
    "official_thread",
    "pfr_paper",
    "branch_tuning",
    "solo_learn",
    "revisiting_supervision",
    "rerun_bge",
    "rerun_pfr_100_epochs",
)
"""Kinds of rows; where several rows name one cell, the first kind counts, and of one kind the first row."""
BACKBONE = "resnet18"
METRICS = {"accuracy": "A", "forgetting": "F", "forward_transfer": "T", "random_network_accuracy": "A"}
"""Metric of the file -> letter in the tables."""
AFTER = "accuracy_after_task_"
"""Metric of the file for mean_i A[t-1, i], tasks counted from 1; after the last task it is A."""

Where = tuple[str, str, int, str, str, str]
"""Data set, scenario, tasks, objective, strategy, probe."""


@dataclass(frozen=True)
class Published:
    """A number of the literature: a fraction of 1, its source in words, and the kind of source."""

    value: float
    source: str
    kind: str


def published(stream: str, backbone: str, objective: str, strategy: str, probe: str) -> dict[str, Published]:
    """Return what is published of a cell: letter of the metric, or the number of the task after which -> number.

    The names are those without variants. Offline is looked up as training on everything at once, whatever stream it is
    evaluated on; the random network as such.
    """
    parts = re.fullmatch(r"(\w+)-([a-z]+)(\d+)", stream)
    if backbone != BACKBONE or parts is None:
        return {}
    scenario, tasks = ("all", 1) if strategy == OFFLINE else (parts[2], int(parts[3]))
    if strategy == RANDOM:
        objective, strategy = "random", "none"
    return _numbers().get((parts[1], scenario, tasks, objective, strategy, probe), {})


@cache
def _numbers() -> dict[Where, dict[str, Published]]:
    found: dict[Where, dict[str, Published]] = {}
    for row in sorted(read_published(), key=lambda row: KINDS.index(row["kind"])):
        tasks = int(row["tasks"])
        place = (row["dataset"], row["scenario"], tasks, row["objective"], row["strategy"], row["probe"])
        number = Published(float(row["value"]) / 100, row["source"], row["kind"])
        for name in _names(row["metric"], tasks):
            found.setdefault(place, {}).setdefault(name, number)
    return found


def _names(metric: str, tasks: int) -> list[str]:
    if metric in METRICS:
        return [METRICS[metric]]
    after = metric.removeprefix(AFTER)
    return [after, "A"] if int(after) == tasks else [after]


def read_published(file: Path = FILE) -> list[dict[str, str]]:
    """Read the rows; `CassleError` naming the line that has no source, no number, or an unknown kind or metric."""
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    for line, row in enumerate(rows, start=2):
        known = row["metric"] in METRICS or row["metric"].removeprefix(AFTER).isdigit()
        if not (known and row["kind"] in KINDS and row["source"] and _is_number(row["value"])):
            raise CassleError(f"{file}, line {line}: a published number needs a kind, a metric, a value and a source")
    return rows


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
