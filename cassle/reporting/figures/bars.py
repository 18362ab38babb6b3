"""Bars: average accuracy of every strategy and of joint training, per objective, with the random network as a line."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cassle.contracts.layout import RANDOM
from cassle.reporting.figures.base import color_of, figures, legend_above, panels, tick_labels, whole_numbers
from cassle.reporting.rows.matrix import METRICS, Result
from cassle.reporting.rows.names import RANDOM_TITLE
from cassle.reporting.rows.statistics import spread


@figures.register("bars")
def bars(methods: list[Result]) -> Figure:
    """Return groups of bars, one group per objective; whiskers are standard deviations over seeds."""
    groups, colors = panels(methods), color_of(methods)
    strategies = list(dict.fromkeys(method.strategy for method in methods if method.strategy != RANDOM))
    width = 0.8 / max(len(strategies), 1)
    figure, axes = plt.subplots(figsize=(max(3.4, 0.9 + 0.42 * len(strategies) * len(groups)), 2.6))
    for place, group in enumerate(groups.values()):
        for method in group:
            values = [100 * value for value in method.values(METRICS["A"])]
            if not values:
                continue
            x = place + (strategies.index(method.strategy) - (len(strategies) - 1) / 2) * width
            error = spread(values) if len(values) > 1 else None
            label = method.printed.strategy
            mean = float(np.mean(values))
            axes.bar(x, mean, 0.92 * width, yerr=error, color=colors[method.strategy], label=label, capsize=2)
            top = mean + (error or 0.0)  # above the whisker, however long it is
            axes.annotate(f"{mean:.1f}", (x, top), (0, 3), textcoords="offset points", ha="center", fontsize=7)
    for method in methods:
        if method.strategy == RANDOM and (values := method.values(METRICS["A"])):
            level = 100 * float(np.mean(values))
            axes.axhline(level, color=colors[RANDOM], ls="--", lw=1.2, label=RANDOM_TITLE, zorder=0)
    axes.set_xticks(range(len(groups)), tick_labels(groups))
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("average accuracy (%)")
    low = min((100 * v for method in methods for v in method.values(METRICS["A"])), default=0.0)
    axes.set_ylim(bottom=max(0.0, 10 * np.floor(low / 10) - 10))
    axes.yaxis.grid(True, color="#e5e5e5")
    axes.yaxis.set_major_locator(whole_numbers())
    legend_above(figure, axes)
    return figure
