"""What a figure of features is drawn from, the registry of such figures, and the look they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from cassle.contracts.layout import FIRST, OFFLINE, features_of
from cassle.contracts.summary import StudyRecord, read_summary
from cassle.core.errors import DataError
from cassle.core.registry import Registry
from cassle.reporting.figures.base import COLORS, STYLE, in_lines, panel_title, save_figure
from cassle.reporting.rows.matrix import Titles
from cassle.reporting.rows.names import shown_names

Points = NDArray[np.float64]
PALETTE = (*COLORS, "#000000", "#F0E442")


@dataclass(frozen=True)
class Snapshot:
    """What the network after one task sees: ``features`` (N, F), ``labels`` and ``tasks`` (N,) of test images."""

    backbone: str
    objective: str
    strategy: str
    task: int
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    tasks: NDArray[np.int64]


Run = list[Snapshot]
Draw = Callable[[dict[Titles, Run]], Figure]
feature_figures: Registry[Draw] = Registry("figure of features", "cassle.reporting.figures.features")
"""Figure name -> function that draws it from the titles of runs -> snapshots in the order of tasks."""


def write_feature_figure(name: str, study: str | Path, files: Iterable[str | Path], out: Path) -> None:
    """Draw one figure of features and write it beside ``out`` as .pdf, .svg and .png."""
    draw = feature_figures.get(name)
    runs = runs_of(map(read_snapshot, files), read_summary(study))
    with plt.rc_context(STYLE):
        save_figure(draw(runs), out)


def read_snapshot(file: str | Path) -> Snapshot:
    """Read what `cassle features` wrote; the run is named by the path. `DataError` if it is no such file."""
    at, _ = features_of(file)
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = (held["features"], held["labels"], held["tasks"])
        joint = "-all" in at.stream
        return Snapshot(at.backbone, at.objective, OFFLINE if joint else at.strategy, at.task, *arrays)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"cannot read {file}: {error}; delete it and run the workflow again") from error


def runs_of(snapshots: Iterable[Snapshot], study: StudyRecord) -> dict[Titles, Run]:
    """Return the snapshots of each run, in the study's order; a shared first task belongs to each of its heirs."""
    found: dict[tuple[str, str, str], Run] = {}
    for snapshot in sorted(snapshots, key=lambda one: one.task):
        found.setdefault((snapshot.backbone, snapshot.objective, snapshot.strategy), []).append(snapshot)
    runs: dict[Titles, Run] = {}
    shown = shown_names(found, study.names)
    for backbone, objective, strategy in study.places():
        own = found.get((backbone, objective, strategy), [])
        shared = found.get((backbone, objective, FIRST), []) if own and own[0].task > 0 else []
        if own:
            names = Titles(shown[backbone], shown[objective], shown[strategy])
            titles = Titles(
                study.printed("backbones", names.backbone),
                study.printed("objectives", names.objective),
                study.printed("strategies", names.strategy),
            )
            runs[names if titles in runs else titles] = [*shared, *own]
    return runs


def scatter_by_class_and_task(runs: dict[Titles, Run], place: Callable[[Snapshot], Points]) -> Figure:
    """Return two panels per run, of the network after its last task: points colored by class, and by task.

    ``place`` gives each image its place in the plane, (N, 2).
    """
    objectives = list(dict.fromkeys(key[:2] for key in runs))
    groups = {key: [one for one in runs if one[:2] == key] for key in objectives}
    several = len({backbone for backbone, _ in objectives}) > 1
    columns = max(map(len, groups.values()), default=1)
    rows = 2 * max(len(groups), 1)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.9 * columns + 1.1, 1.9 * rows), squeeze=False, layout="constrained"
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (key, group) in enumerate(groups.items()):
        for column, name in enumerate(group):
            last = runs[name][-1]
            points = place(last)
            for row, (what, groups_of) in enumerate((("class", last.labels), ("task", last.tasks))):
                axes = grid[2 * number + row, column]
                _scatter(axes, points, groups_of)
                if row == 0:
                    axes.set_title(in_lines(f"{panel_title(*key, several)}\n{name.strategy}"))
                if column == len(group) - 1:
                    _legend(axes, groups_of, what)
    return figure


def _scatter(axes: Axes, points: Points, groups: NDArray[np.int64]) -> None:
    colors = colors_of(groups)
    order = np.random.default_rng(0).permutation(len(points))  # so that no group lies on top of the others
    shades = [colors[int(group)] for group in groups[order]]
    axes.set_axis_on()
    axes.scatter(points[order, 0], points[order, 1], s=2.5, c=shades, lw=0, rasterized=True)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#bbbbbb")


def colors_of(groups: NDArray[np.int64]) -> dict[int, Any]:
    """Return group -> color: a palette for up to ten groups, else shades from dark to light in their order."""
    names = sorted({int(group) for group in groups})
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    return dict(zip(names, plt.get_cmap("viridis")(np.linspace(0, 1, len(names))), strict=True))


def _legend(axes: Axes, groups: NDArray[np.int64], what: str) -> None:
    colors = colors_of(groups)
    if len(colors) > len(PALETTE):
        return
    shift = 1 if what == "task" else 0  # tasks are counted from 1 where people read them
    handles: Iterator[Line2D] = (
        Line2D([], [], marker="o", ls="", ms=4, color=color, label=str(name + shift)) for name, color in colors.items()
    )
    axes.legend(
        handles=list(handles), title=what, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7, title_fontsize=8,
        handletextpad=0.1, labelspacing=0.25, borderpad=0,
    )  # fmt: skip
