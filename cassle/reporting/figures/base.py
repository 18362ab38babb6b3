"""What a figure is, the registry of figures, and the look they share."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import IO, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cassle.contracts.layout import OFFLINE, RANDOM
from cassle.contracts.summary import read_summary
from cassle.core.files import write_with
from cassle.core.registry import Registry
from cassle.reporting.rows.frame import read_runs
from cassle.reporting.rows.matrix import Result
from cassle.reporting.rows.method_results import methods_of

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F")
"""Strategies in the order of the study (Okabe & Ito's palette, distinct for color-blind readers)."""
SHADES = ((1.0, 0.0), (0.5, 0.5), (0.5, 0.0))
"""As they are, half white, half black."""
OFFLINE_COLOR, RANDOM_COLOR = "#555555", "#AAAAAA"
MARKERS = "osD^vPX*"
TICK_LETTERS = 18
"""Letters of a line under an axis."""
HOLLOW: Any = {"marker": "D", "ls": "", "mfc": "white", "mec": "#111111", "mew": 1.0, "ms": 4.5, "zorder": 5}
"""How a published number is drawn."""
CROSS: Any = {**HOLLOW, "marker": "x"}
"""How one that is of other epochs than the method is drawn."""
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "cassle",
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
}
Draw = Callable[[list[Result]], Figure]
figures: Registry[Draw] = Registry("figure", "cassle.reporting.figures")
"""Figure name -> function that draws it from the methods of a stream under one probe."""


def write_figure(runs: str | Path, study: str | Path, name: str, stream: str, probe: str, out: Path) -> None:
    """Draw one figure and write it beside ``out`` as .pdf, .svg and .png; the same rows give the same bytes."""
    draw = figures.get(name)
    methods = methods_of(read_runs(runs), read_summary(study), stream, probe)
    with plt.rc_context(STYLE):
        save_figure(draw(methods), out)


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure beside ``out`` as .pdf, .svg and .png, without dates in them, and close it."""
    dateless = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    for kind, metadata in dateless.items():
        data = io.BytesIO()
        figure.savefig(data, format=kind, metadata=metadata)

        def write(file: IO[bytes], image: bytes = data.getvalue()) -> None:
            file.write(image)

        write_with(out.with_suffix(f".{kind}"), write)
    plt.close(figure)


def panels(methods: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """Return the trained methods by (backbone, objective), in order."""
    found: dict[tuple[str, str], list[Result]] = {}
    for method in methods:
        if method.strategy != RANDOM:
            found.setdefault((method.backbone, method.objective), []).append(method)
    return found


def panel_titles(groups: dict[tuple[str, str], list[Result]]) -> dict[tuple[str, str], str]:
    """Return the title of every panel."""
    several = len({backbone for backbone, _ in groups}) > 1
    return {key: panel_title(*group[0].printed[:2], several) for key, group in groups.items() if group}


def panel_title(backbone: str, objective: str, several: bool) -> str:
    """Return a panel's title; the backbone is named only if there are ``several``."""
    return f"{objective}, {backbone}" if several else objective


def in_lines(title: str) -> str:
    """Return a title in lines that fit above a small panel: whatever differs has one of its own."""
    return re.sub(r" (\([^()]*\))", lambda differing: "\n" + differing[1].replace(", ", ",\n"), title)


def tick_labels(groups: dict[tuple[str, str], list[Result]]) -> list[str]:
    """Return the panels' titles in lines short enough to stand side by side under an axis."""
    return ["\n".join(wrap(title, TICK_LETTERS)) for title in panel_titles(groups).values()]


def color_of(methods: list[Result]) -> dict[str, str]:
    """Return strategy -> color, the same in every figure of a study; those of many strategies in three shades."""
    continual = list(dict.fromkeys(c.strategy for c in methods if c.strategy not in (OFFLINE, RANDOM)))
    shades = [_mixed(color, *shade) for shade in SHADES for color in COLORS]
    colors = {strategy: shades[place % len(shades)] for place, strategy in enumerate(continual)}
    return {**colors, OFFLINE: OFFLINE_COLOR, RANDOM: RANDOM_COLOR}


def _mixed(color: str, share: float, white: float) -> str:
    red, green, blue = (share * part + white for part in to_rgb(color))
    return to_hex((red, green, blue)).upper()


def whole_numbers() -> MaxNLocator:
    """Return ticks at round per cents."""
    return MaxNLocator(7, integer=True, steps=[1, 2, 5, 10])


def legend_above(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Name everything drawn, once, above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if named:
        columns = min(columns, len(named), max(2, int(figure.get_figwidth() / 1.2)))
        axes.legend(
            list(named.values()), list(named), ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8
        )


def stacked(method: Result) -> NDArray[np.float64]:
    """Return the matrices of all seeds in per cent, (seeds, models, tasks)."""
    return 100 * np.stack([method.matrices[seed] for seed in sorted(method.matrices)])
