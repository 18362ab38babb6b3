"""Accuracy over tasks: what the model knows of the whole stream after each task, with the spread over seeds."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cassle.contracts.layout import OFFLINE, RANDOM
from cassle.reporting.figures.base import HOLLOW, MARKERS, color_of, figures, in_lines, panel_titles, panels, stacked
from cassle.reporting.rows.matrix import Result
from cassle.reporting.rows.names import RANDOM_TITLE


@figures.register("accuracy_over_tasks")
def accuracy_over_tasks(methods: list[Result]) -> Figure:
    """Return one panel per objective: mean over all tasks of A[t, :] against t; bands are standard deviations."""
    groups, colors = panels(methods), color_of(methods)
    titles = panel_titles(groups)
    columns = min(len(groups), 4)
    rows = -(-len(groups) // columns) if groups else 1
    figure, grid = plt.subplots(
        rows, max(columns, 1), figsize=(0.6 + 2.3 * max(columns, 1), 0.6 + 2.0 * rows), sharey=True, squeeze=False
    )
    for axes, (key, group) in zip(grid.flat, groups.items(), strict=False):
        for place, method in enumerate(group):
            _line(axes, method, colors[method.strategy], MARKERS[place % len(MARKERS)])
        for method in methods:
            if method.strategy == RANDOM and method.backbone == key[0]:
                _line(axes, method, colors[RANDOM], "")
        axes.set_title(in_lines(titles[key]))
        axes.set_xlabel("task")
        axes.yaxis.grid(True, color="#e5e5e5")
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy on all tasks (%)")
    if any(map(_published, methods)):
        grid.flat[0].plot([], [], **HOLLOW, label="published")
    labeled: dict[str, Artist] = {}
    for axes in grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labeled.setdefault(label, handle)
    figure.tight_layout()
    figure.legend(
        list(labeled.values()), list(labeled), ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8
    )
    return figure


def _line(axes: Axes, method: Result, color: str, marker: str) -> None:
    if after := _published(method):
        axes.plot(list(after), list(after.values()), **{**HOLLOW, "mec": color, "ls": ":"}, color=color, lw=0.8)
    if not method.matrices:
        return
    curves = stacked(method).mean(axis=2)
    mean = curves.mean(axis=0)
    if method.strategy in (OFFLINE, RANDOM):
        name = "offline" if method.strategy == OFFLINE else RANDOM_TITLE
        axes.axhline(mean[0], color=color, ls="-." if method.strategy == OFFLINE else "--", lw=1.2, label=name)
        return
    x = np.arange(1, len(mean) + 1)
    axes.plot(x, mean, color=color, marker=marker, ms=4, lw=1.5, label=method.printed.strategy)
    if len(curves) > 1:
        wide = curves.std(axis=0, ddof=1)
        axes.fill_between(x, mean - wide, mean + wide, color=color, alpha=0.2, lw=0)
    axes.set_xticks(x)


def _published(method: Result) -> dict[int, float]:
    """Return task, counted from 1 -> published accuracy after it in per cent, of as many epochs as here if known."""
    numbers = {name: number for name, number in method.published.items() if number.comparable(method.epochs)}
    return {int(name): 100 * number.value for name, number in numbers.items() if name.isdigit()}
