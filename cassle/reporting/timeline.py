"""Timeline: which job worked when, on what, and which attempts were cut off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cassle.contracts.summary import read_summary
from cassle.reporting.figures.base import STYLE, save_figure
from cassle.reporting.rows.benchmark import jobs_of_study, read_jobs

COLORS = {"train": "#0072B2", "probe": "#E69F00", "build_memory": "#009E73"}
OTHER = "#CC79A7"
NAMES = {"train": "training", "probe": "evaluation", "build_memory": "memory"}
IDLE, SHORTEST = 0.05, 60.0
"""A time without any job is cut out if it is longer than this share of the busy time, and than so many seconds."""


@dataclass(frozen=True)
class Span:
    """One attempt at a job: kind, place, seconds since 1970, and whether it came to its end."""

    kind: str
    place: str
    began: float
    ended: float
    done: bool


def write_timeline(jobs: str | Path, study: str | Path, out: Path) -> None:
    """Draw the jobs of a study beside ``out`` as .pdf, .svg and .png; the same jobs give the same bytes."""
    with plt.rc_context(STYLE):
        save_figure(timeline(jobs_of_study(read_jobs(jobs), read_summary(study))), out)


def spans_of(jobs: pd.DataFrame) -> list[Span]:
    """Return the attempts of jobs in the order of their beginnings, but for those whose end is not known.

    ``jobs``: rows of ``benchmark.csv``.
    """
    spans = []
    for job in jobs.itertuples():
        ends = [text.partition("/")[::2] for text in str(job.intervals).split()]
        place = ", ".join(filter(None, (str(job.host), str(job.leased)))) or "?"
        for number, (began, ended) in enumerate(ends):
            if ended:
                done = number == len(ends) - 1
                spans.append(Span(str(job.job), place, _seconds(began), _seconds(ended), done))
    return sorted(spans, key=lambda span: (span.began, span.ended))


def _seconds(moment: str) -> float:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def lanes_of(spans: list[Span]) -> list[tuple[str, list[Span]]]:
    """Return (place, spans) of lanes in which nothing overlaps, as few as it takes, those of one place together."""
    lanes: dict[str, list[list[Span]]] = {}
    for span in spans:
        own = lanes.setdefault(span.place, [])
        free = next((lane for lane in own if lane[-1].ended <= span.began), None)
        if free is None:
            own.append([span])
        else:
            free.append(span)
    return [(place, lane) for place in sorted(lanes) for lane in lanes[place]]


def cuts_of(spans: list[Span]) -> list[tuple[float, float]]:
    """Return the (begin, end) of each time without a job that is long enough to be cut out."""
    gaps, busy = [], 0.0
    until = spans[0].began if spans else 0.0
    for span in spans:
        if span.began > until:
            gaps.append((until, span.began))
        busy += max(0.0, span.ended - max(span.began, until))
        until = max(until, span.ended)
    return [(began, ended) for began, ended in gaps if ended - began > max(IDLE * busy, SHORTEST)]


def timeline(jobs: pd.DataFrame) -> Figure:
    """Return the figure: a lane per job at a time; long times without any job are cut out, at the dashed lines."""
    spans = spans_of(jobs)
    lanes, cuts = lanes_of(spans), cuts_of(spans)
    figure, axes = plt.subplots(figsize=(6.5, 0.9 + 0.24 * max(len(lanes), 2)))
    begin = min((span.began for span in spans), default=0.0)

    def since(moment: float) -> float:
        return moment - begin - sum(ended - began for began, ended in cuts if ended <= moment)

    total = max((since(span.ended) for span in spans), default=60.0)
    unit, seconds = ("hours", 3600) if total > 7200 else ("minutes", 60)
    for y, (_, lane) in enumerate(lanes):
        for span in lane:
            color = COLORS.get(span.kind, OTHER)
            shown: Any = {"color": color} if span.done else {"facecolor": "white", "edgecolor": color, "hatch": "/////"}
            left, wide = since(span.began) / seconds, (span.ended - span.began) / seconds
            axes.barh(y, max(wide, 0.001 * total / seconds), left=left, height=0.72, lw=0.4, **shown)
    for began, _ in cuts:
        axes.axvline(since(began) / seconds, color="#777777", ls="--", lw=0.8)
    _label(axes, [place for place, _ in lanes])
    axes.set_xlabel(f"{unit} of work" if cuts else f"{unit} since the first job began")
    axes.set_xlim(0, 1.01 * total / seconds)
    kinds = sorted({span.kind for span in spans}, key=lambda kind: [*NAMES, kind].index(kind))
    handles = [Patch(color=COLORS.get(kind, OTHER), label=NAMES.get(kind, kind)) for kind in kinds]
    if not all(span.done for span in spans):
        handles.append(Patch(facecolor="white", edgecolor="#555555", hatch="/////", label="interrupted"))
    if handles:
        axes.legend(handles=handles, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return figure


def _label(axes: Axes, places: list[str]) -> None:
    """Name each place once, in the middle of its lanes."""
    rows = {place: [y for y, name in enumerate(places) if name == place] for place in dict.fromkeys(places)}
    axes.set_yticks([sum(ys) / len(ys) for ys in rows.values()], list(rows))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(places), 1) - 0.4, -0.6)
    for ys in list(rows.values())[1:]:
        axes.axhline(ys[0] - 0.5, color="#cccccc", lw=0.8)
