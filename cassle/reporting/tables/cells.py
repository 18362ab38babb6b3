"""The cells of a table."""

from __future__ import annotations

import numpy as np

from cassle.contracts.layout import RANDOM
from cassle.reporting.rows.matrix import METRICS, Result, accuracy_aware, unlike
from cassle.reporting.rows.statistics import paired, spread
from cassle.reporting.tables.formats import UNDEFINED, TableCell

MISSING = "missing"
MIXED = "*"
OTHER_EPOCHS = "†"
TIMES = {"h": 1.0, "min": 1 / 60, "s": 1 / 3600}
"""Unit of a column of training times -> hours it has."""
WORK = {f"{prefix}FLOP": 1000.0**power for power, prefix in zip(range(6, 1, -1), "EPTGM", strict=True)}
"""Unit of a column of training's operations -> operations it has."""


def metric(method: Result, name: str, best: bool, mark: str) -> TableCell:
    """Return mean ± spread in per cent; a dash where the metric means nothing, and a word where a run is missing."""
    if not method.has(name):
        return TableCell(UNDEFINED)
    values = method.values(METRICS[name])
    return TableCell(*_per_cent(values), bold=best, mark=mark) if values else TableCell(MISSING)


def aware(method: Result) -> TableCell:
    """Return mean ± spread of the accuracy where the task is known."""
    values = method.values(accuracy_aware)
    return TableCell(*_per_cent(values)) if values else TableCell()


def _per_cent(values: list[float]) -> tuple[str, float]:
    mean = 100 * float(np.mean(values))
    return (f"{mean:.1f} ± {100 * spread(values):.1f}" if len(values) > 1 else f"{mean:.1f}"), mean


def marked(columns: list[str], differing: set[str]) -> str:
    """Return the mark of a number that compares runs differing in columns, which are added to those named below."""
    differing |= set(columns)
    return MIXED if columns else ""


def seeds(method: Result) -> TableCell:
    """Return how many of the seeds have A."""
    n, wanted = len(method.values(METRICS["A"])), len(method.seeds)
    return TableCell(str(n) if n == wanted else f"{n} of {wanted}", n)


def difference(method: Result, base: Result | None, differing: set[str]) -> TableCell:
    """Return the paired difference to fine-tuning in points of A, with its interval if there are several pairs.

    It is marked where the two were executed differently; the columns are added to ``differing``.
    """
    if base is None or method is base or method.strategy == RANDOM:
        return TableCell()
    found = paired(method, base, METRICS["A"])
    if found is None:
        return TableCell()
    interval = f" [{signed(100 * found.low)}, {signed(100 * found.high)}]" if found.n > 1 else ""
    pairs = f" ({found.n} pair{'s' if found.n > 1 else ''})" if found.n < len(method.values(METRICS["A"])) else ""
    mark = marked(unlike((method, base)), differing)
    return TableCell(signed(100 * found.mean) + interval + pairs, 100 * found.mean, mark=mark)


def signed(value: float) -> str:
    """Return a number with one digit and its sign; zero has none.

    >>> signed(-0.04), signed(3.14), signed(-2)
    ('0.0', '+3.1', '−2.0')
    """
    text = f"{value:+.1f}"
    return "0.0" if text[1:] == "0.0" else text.replace("-", "−")


def published(method: Result, name: str, sources: list[str]) -> dict[str, TableCell]:
    """Return the columns of the published number and of ours minus it; its source becomes a footnote.

    Between numbers of different epochs no difference is taken.
    """
    columns = f"published {name}", f"{name} − published"
    if name not in method.published:
        return dict.fromkeys(columns, TableCell())
    number = method.published[name]
    if number.source not in sources:
        sources.append(number.source)
    value, values = 100 * number.value, method.values(METRICS[name])
    comparable = number.comparable(method.epochs)
    text = f"{value:.1f}" if comparable else f"{value:.1f}{OTHER_EPOCHS}"
    theirs = TableCell(text, value, mark=chr(ord("a") + sources.index(number.source)))
    gap = 100 * float(np.mean(values)) - value if values else float("nan")
    return dict(
        zip(columns, (theirs, TableCell(signed(gap), gap) if values and comparable else TableCell()), strict=True)
    )


def unit(units: dict[str, float], rows: list[dict[int, float]]) -> str:
    """Return the largest unit that the most of what was spent has one of, else the smallest."""
    most = max((value for by_seed in rows for value in by_seed.values()), default=0.0)
    return next((name for name, size in units.items() if most >= size), list(units)[-1])


def spent(by_seed: dict[int, float], size: float) -> TableCell:
    """Return the mean over the seeds that have A."""
    values = [value / size for value in by_seed.values()]
    return TableCell(f"{np.mean(values):.1f}", float(np.mean(values))) if values else TableCell()
