"""The paper's results figure: every objective with every strategy, and supervised fine-tuning as a line."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cassle.contracts.layout import OFFLINE, RANDOM
from cassle.reporting.figures.base import (
    CROSS,
    HOLLOW,
    color_of,
    figures,
    legend_above,
    panels,
    tick_labels,
    whole_numbers,
)
from cassle.reporting.rows.matrix import METRICS, Result
from cassle.reporting.rows.names import FINETUNE, bare
from cassle.reporting.rows.statistics import spread

SUPERVISED = "supervised"
LINE = "#333333"


@figures.register("results")
def results(methods: list[Result]) -> Figure:
    """Return groups of bars, one per objective, in per cent; a short line is joint training.

    Whiskers are standard deviations over seeds, hollow marks published numbers, crosses those of other epochs.
    """
    groups = {key: group for key, group in panels(methods).items() if not _is_supervised(key[1])}
    colors = color_of(methods)
    strategies = list(dict.fromkeys(c.strategy for group in groups.values() for c in group if c.continual))
    width = 0.8 / max(len(strategies), 1)
    wide = max(3.4, 1.2 + len(groups) * max(1.0, 0.3 * len(strategies)))
    figure, axes = plt.subplots(figsize=(wide, 2.8))
    for place, group in enumerate(groups.values()):
        for method in group:
            if method.strategy == OFFLINE:
                _level(axes, method, place)
                continue
            x = place + (strategies.index(method.strategy) - (len(strategies) - 1) / 2) * width
            _bar(axes, method, x, width, colors[method.strategy])
    for method in methods:
        if _is_supervised(method.objective) and method.strategy == FINETUNE:
            _supervised(axes, method, len(groups))
    axes.set_xticks(range(len(groups)), tick_labels(groups))
    axes.set_xlim(-0.55, max(len(groups), 1) - 0.45)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("average accuracy (%)")
    axes.yaxis.grid(True, color="#e5e5e5")
    axes.yaxis.set_major_locator(whole_numbers())
    shown = [value for method in methods if method.strategy != RANDOM for value in _numbers(method)]
    if shown:
        axes.set_ylim(max(0.0, 5 * np.floor(min(shown) / 5) - 5), 5 * np.ceil(max(shown) / 5))
    legend_above(figure, axes)
    return figure


def _is_supervised(objective: str) -> bool:
    return bare(objective) == SUPERVISED


def _numbers(method: Result) -> list[float]:
    """Return everything of a method that is drawn, in per cent."""
    published = [method.published["A"].value] if "A" in method.published else []
    return [100 * value for value in [*method.values(METRICS["A"]), *published]]


def _bar(axes: Axes, method: Result, x: float, width: float, color: str) -> None:
    values = [100 * value for value in method.values(METRICS["A"])]
    if values:
        error = spread(values) if len(values) > 1 else None
        mean = float(np.mean(values))
        axes.bar(x, mean, 0.92 * width, yerr=error, color=color, label=method.printed.strategy, capsize=2)
    _published(axes, method, x)


def _level(axes: Axes, method: Result, place: int) -> None:
    values = [100 * value for value in method.values(METRICS["A"])]
    if values:
        axes.hlines(float(np.mean(values)), place - 0.42, place + 0.42, color=LINE, lw=1.4, label=OFFLINE)
    _published(axes, method, place)


def _supervised(axes: Axes, method: Result, groups: int) -> None:
    values = [100 * value for value in method.values(METRICS["A"])]
    if values:
        label = f"{method.printed.objective.lower()} fine-tuning"
        axes.axhline(float(np.mean(values)), color=LINE, ls=":", lw=1.4, label=label, zorder=0)
    _published(axes, method, groups - 0.47, clip_on=False)


def _published(axes: Axes, method: Result, x: float, **more: Any) -> None:
    number = method.published.get("A")
    if number is not None:
        same = number.comparable(method.epochs)
        style, label = (HOLLOW, "published") if same else (CROSS, "published, other epochs")
        axes.plot(x, 100 * number.value, **style, label=label, **more)
