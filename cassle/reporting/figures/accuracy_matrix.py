"""Accuracy matrices: A[t, i] in full, one panel per objective and strategy."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cassle.reporting.figures.base import figures, in_lines, panel_titles, panels, stacked
from cassle.reporting.rows.matrix import Result


@figures.register("accuracy_matrix")
def accuracy_matrix(methods: list[Result]) -> Figure:
    """Return heat maps of the mean over seeds in per cent; rows are models after each task, offline has one row."""
    groups = {key: [method for method in group if method.matrices] for key, group in panels(methods).items()}
    shown = {method: stacked(method).mean(axis=0) for group in groups.values() for method in group}
    if not shown:
        return plt.figure()
    tasks = max(matrix.shape[1] for matrix in shown.values())
    low = min(np.nanmin(matrix) for matrix in shown.values())
    high = max(np.nanmax(matrix) for matrix in shown.values())
    columns, side = max(map(len, groups.values())), max(1.5, 0.36 * tasks)
    size = ((side + 0.5) * columns + 0.3, (side + 0.6) * len(groups) + 0.2)
    figure, grid = plt.subplots(len(groups), columns, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.set_axis_off()
    titles = panel_titles(groups)
    for row, (key, group) in zip(grid, groups.items(), strict=True):
        for axes, method in zip(row, group, strict=False):
            axes.set_axis_on()
            axes.imshow(shown[method], vmin=low, vmax=high, cmap="viridis")
            _label(shown[method], axes, low, high)
            axes.set_title(in_lines(f"{titles[key]}\n{method.printed.strategy}"))
    figure.supxlabel("evaluated task")
    figure.supylabel("model after task")
    return figure


def _label(matrix: np.ndarray, axes: Axes, low: float, high: float) -> None:
    size = 7 if matrix.shape[1] <= 6 else 5
    for (t, i), value in np.ndenumerate(matrix):
        if np.isnan(value):
            continue
        dark = value < (low + high) / 2
        axes.text(i, t, f"{value:.0f}", ha="center", va="center", fontsize=size, color="white" if dark else "black")
    axes.set_xticks(range(matrix.shape[1]), [str(i + 1) for i in range(matrix.shape[1])])
    names = [str(t + 1) for t in range(len(matrix))] if len(matrix) > 1 else ["all"]
    axes.set_yticks(range(len(matrix)), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
