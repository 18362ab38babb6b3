"""Bars: average accuracy of every strategy and of joint training, per objective, with the random network as a line."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cassle.contracts.layout import RANDOM
from cassle.reporting.figures.base import color_of, figures, legend_above, panels, tick_labels, whole_numbers
from cassle.reporting.rows.matrix import METRICS, Cell
from cassle.reporting.rows.names import RANDOM_TITLE
from cassle.reporting.rows.statistics import spread


@figures.register("bars")
def bars(cells: list[Cell]) -> Figure:
    """Return groups of bars, one group per objective; whiskers are standard deviations over seeds."""
    groups, colors = panels(cells), color_of(cells)
    strategies = list(dict.fromkeys(cell.strategy for cell in cells if cell.strategy != RANDOM))
    width = 0.8 / max(len(strategies), 1)
    figure, axes = plt.subplots(figsize=(max(3.4, 0.9 + 0.42 * len(strategies) * len(groups)), 2.6))
    for place, group in enumerate(groups.values()):
        for cell in group:
            values = [100 * value for value in cell.values(METRICS["A"])]
            if not values:
                continue
            x = place + (strategies.index(cell.strategy) - (len(strategies) - 1) / 2) * width
            error = spread(values) if len(values) > 1 else None
            label = cell.printed.strategy
            mean = float(np.mean(values))
            axes.bar(x, mean, 0.92 * width, yerr=error, color=colors[cell.strategy], label=label, capsize=2)
            top = mean + (error or 0.0)  # above the whisker, however long it is
            axes.annotate(f"{mean:.1f}", (x, top), (0, 3), textcoords="offset points", ha="center", fontsize=7)
    for cell in cells:
        if cell.strategy == RANDOM and (values := cell.values(METRICS["A"])):
            level = 100 * float(np.mean(values))
            axes.axhline(level, color=colors[RANDOM], ls="--", lw=1.2, label=RANDOM_TITLE, zorder=0)
    axes.set_xticks(range(len(groups)), tick_labels(groups))
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("average accuracy (%)")
    low = min((100 * v for cell in cells for v in cell.values(METRICS["A"])), default=0.0)
    axes.set_ylim(bottom=max(0.0, 10 * np.floor(low / 10) - 10))
    axes.yaxis.grid(True, color="#e5e5e5")
    axes.yaxis.set_major_locator(whole_numbers())
    legend_above(figure, axes)
    return figure
