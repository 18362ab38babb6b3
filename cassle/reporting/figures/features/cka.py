"""Linear CKA between the checkpoints of a run: how much of what a network saw is seen in the same way later."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cassle.reporting.figures.base import in_lines, panel_title
from cassle.reporting.figures.features.base import Run, feature_figures
from cassle.reporting.rows.matrix import Titles


def linear_cka(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Return the similarity of two sets of features of the same images, from 0 to 1; NaN if one is constant.

    ``x`` (N, F), ``y`` (N, G), columns centered: |Y^T X|^2 / (|X^T X| |Y^T Y|) in Frobenius norms (Kornblith et al.
    2019, 1905.00414, Section 3). It does not change with a rotation or a common scale of either.
    """
    x, y = (np.asarray(z, dtype=np.float64) - np.mean(z, axis=0, dtype=np.float64) for z in (x, y))
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms else float("nan")


@feature_figures.register("cka")
def cka(runs: dict[Titles, Run]) -> Figure:
    """Return heat maps of the similarity between the networks after each task, one per run of several tasks."""
    runs = {key: run for key, run in runs.items() if len(run) > 1}
    objectives = list(dict.fromkeys(key[:2] for key in runs))
    groups = {key: [one for one in runs if one[:2] == key] for key in objectives}
    several = len({backbone for backbone, _ in objectives}) > 1
    columns, tasks = max(map(len, groups.values()), default=1), max(map(len, runs.values()), default=2)
    side = max(1.5, 0.36 * tasks)
    shape = (max(len(groups), 1), columns)
    size = ((side + 0.5) * shape[1] + 0.3, (side + 0.6) * shape[0] + 0.2)
    figure, grid = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (key, group) in zip(grid, groups.items(), strict=False):
        for axes, name in zip(row, group, strict=False):
            run = runs[name]
            similar = np.array([[linear_cka(a.features, b.features) for b in run] for a in run])
            axes.set_axis_on()
            axes.imshow(similar, vmin=0, vmax=1, cmap="viridis")
            for (t, u), value in np.ndenumerate(similar):
                shade = "white" if value < 0.5 else "black"
                axes.text(u, t, f"{value:.2f}", ha="center", va="center", fontsize=6, color=shade)
            ticks = [str(one.task + 1) for one in run]
            axes.set_xticks(range(len(run)), ticks)
            axes.set_yticks(range(len(run)), ticks)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
            axes.set_title(in_lines(f"{panel_title(*key, several)}\n{name.strategy}"))
    figure.supxlabel("network after task")
    figure.supylabel("network after task")
    return figure
