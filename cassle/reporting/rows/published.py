"""Published numbers: what others report of a method, and where they say so.

``published.csv`` has one row per number: ``kind`` (how far to trust it), ``dataset``, ``scenario``, ``tasks``,
``objective`` (as tables call it, with the settings in which it is a variant: ``supervised (projector=mlp)``),
``strategy``, ``probe``, ``epochs`` per task (empty where they are not known), ``metric``, ``value`` in per cent,
``source``. All of them are of ResNet-18.

A number is shown for a method of exactly the same dataset, scenario, tasks, objective, strategy, probe and metric. A
number whose source does not name its probe (empty) or its variant (``supervised (?)``) stands nowhere. Epochs of the
official figure and threads are those of the released scripts; those of "Revisiting Supervision" are in the scripts
of its repository, danielm1405/sl-vs-ssl-cl.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cassle.contracts.layout import OFFLINE, RANDOM
from cassle.core.errors import CassleError

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
"""Kinds of rows; where several rows name one method, the first kind counts, and of one kind the first row."""
BACKBONE = "resnet18"
METRICS = {"accuracy": "A", "forgetting": "F", "forward_transfer": "T", "random_network_accuracy": "A"}
"""Metric of the file -> letter in the tables."""
AFTER = "accuracy_after_task_"
"""Metric of the file for mean_i A[t-1, i], tasks counted from 1; after the last task it is A."""

Where = tuple[str, str, int, str, str, str]
"""Dataset, scenario, tasks, objective, strategy, probe."""


@dataclass(frozen=True)
class Published:
    """A number of the literature: a fraction of 1, its source in words and by kind, and epochs per task if known."""

    value: float
    source: str
    kind: str
    epochs: int | None

    def comparable(self, epochs: int | None) -> bool:
        """Return whether nothing is known against a difference to a method that is trained for some epochs per task."""
        return None in (self.epochs, epochs) or self.epochs == epochs


def published(
    stream: str, backbone: str, objective: str, strategy: str, probe: str, *, epochs: int | None = None
) -> dict[str, Published]:
    """Return what is published of a method: letter of the metric, or the number of the task after which -> number.

    The names are those that tables show, ``epochs`` those of the method. Offline is looked up as training on everything
    at once, whatever stream it is evaluated on; the random network as such. An objective whose epochs are not the
    recipe's is a variant, of which only numbers of exactly those epochs are returned.
    """
    parts = re.fullmatch(r"(\w+)-([a-z]+)(\d+)", stream)
    if backbone != BACKBONE or parts is None:
        return {}
    scenario, tasks = ("all", 1) if strategy == OFFLINE else (parts[2], int(parts[3]))
    if strategy == RANDOM:
        objective, strategy = RANDOM, "none"
    objective, changed = without_epochs(objective)
    found = _numbers().get((parts[1], scenario, tasks, objective, strategy, probe), {})
    fitting = {name: [one for one in several if not changed or one.epochs == epochs] for name, several in found.items()}
    return {name: several[0] for name, several in fitting.items() if several}


def without_epochs(shown: str) -> tuple[str, bool]:
    """Return what a table would call an objective if its epochs were the recipe's, and whether they are not.

    >>> without_epochs("supervised (epochs=100, projector=mlp)")
    ('supervised (projector=mlp)', True)
    """
    name, _, settings = shown.removesuffix(")").partition(" (")
    changes = settings.split(", ")
    others = [change for change in changes if not change.startswith("epochs=")]
    return (f"{name} ({', '.join(others)})" if any(others) else name), len(others) < len(changes)


@cache
def _numbers() -> dict[Where, dict[str, list[Published]]]:
    """Return the numbers of each place, those that count first in front."""
    found: dict[Where, dict[str, list[Published]]] = {}
    for row in sorted(read_published(), key=lambda row: KINDS.index(row["kind"])):
        tasks = int(row["tasks"])
        place = (row["dataset"], row["scenario"], tasks, row["objective"], row["strategy"], row["probe"])
        epochs = int(row["epochs"]) if row["epochs"] else None
        number = Published(float(row["value"]) / 100, row["source"], row["kind"], epochs)
        for name in _names(row["metric"], tasks):
            found.setdefault(place, {}).setdefault(name, []).append(number)
    return found


def _names(metric: str, tasks: int) -> list[str]:
    if metric in METRICS:
        return [METRICS[metric]]
    after = metric.removeprefix(AFTER)
    return [after, "A"] if int(after) == tasks else [after]


def read_published(file: Path = FILE) -> list[dict[str, str]]:
    """Read the rows; `CassleError` naming the line without source or number, or with unknown kind, metric or epochs."""
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    for line, row in enumerate(rows, start=2):
        known = row["metric"] in METRICS or row["metric"].removeprefix(AFTER).isdigit()
        known = known and (row["epochs"] == "" or row["epochs"].isdigit())
        if not (known and row["kind"] in KINDS and row["source"] and _is_number(row["value"])):
            raise CassleError(
                f"{file}, line {line}: a published number needs a kind, a metric, a value and a source; its epochs are "
                "a number or empty"
            )
    return rows


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
