"""Forgetting against accuracy: what a strategy keeps, beside what it is worth in the end."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cassle.reporting.figures.base import MARKERS, color_of, figures, panel_titles, panels, whole_numbers
from cassle.reporting.rows.matrix import METRICS, Result
from cassle.reporting.rows.statistics import spread


@figures.register("forgetting_against_accuracy")
def forgetting_against_accuracy(methods: list[Result]) -> Figure:
    """Return a point per objective and strategy, mean F against mean A in per cent, with standard deviations."""
    groups, colors = panels([method for method in methods if method.continual]), color_of(methods)
    marks = {key: MARKERS[place % len(MARKERS)] for place, key in enumerate(groups)}
    figure, axes = plt.subplots(figsize=(3.6, 3.0))
    strategies: dict[str, str] = {}
    for key, group in groups.items():
        for method in group:
            lost, reached = ([100 * value for value in method.values(METRICS[name])] for name in "FA")
            if not (lost and reached):
                continue
            strategies[method.strategy] = method.printed.strategy
            axes.errorbar(
                float(np.mean(lost)),
                float(np.mean(reached)),
                xerr=spread(lost) if len(lost) > 1 else None,
                yerr=spread(reached) if len(reached) > 1 else None,
                fmt=marks[key],
                color=colors[method.strategy],
                ms=6,
                mec="white",
                mew=0.6,
                elinewidth=1,
                capsize=2,
            )
    axes.set_xlabel("forgetting (%)")
    axes.set_ylabel("average accuracy (%)")
    axes.grid(True, color="#e5e5e5")
    axes.yaxis.set_major_locator(whole_numbers())
    axes.margins(0.12)
    shape: Any = {"ls": "", "color": "#333333", "ms": 5}
    handles = [
        Line2D([], [], marker="o", ls="", color=colors[name], ms=6, label=title) for name, title in strategies.items()
    ]
    handles += [Line2D([], [], marker=marks[key], label=title, **shape) for key, title in panel_titles(groups).items()]
    if strategies:
        axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure
