"""The timeline: attempts as spans, lanes without overlap, and idle times cut out."""

import pandas as pd
import pytest

from cassle.reporting.rows.benchmark import COLUMNS
from cassle.reporting.timeline import Span, cuts_of, lanes_of, spans_of, timeline, write_timeline
from tests.unit.reporting.made import write_study


def moment(seconds):
    return f"1970-01-01T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def job(*attempts, kind="train", host="atlas", leased="cpu"):
    intervals = " ".join(f"{moment(a)}/{'' if b is None else moment(b)}" for a, b in attempts)
    return {**dict.fromkeys(COLUMNS, ""), "job": kind, "host": host, "leased": leased, "intervals": intervals}


def test_all_attempts_but_the_last_were_interrupted():
    spans = spans_of(pd.DataFrame([job((10, 20), (30, 50))]))
    assert spans == [Span("train", "atlas, cpu", 10, 20, False), Span("train", "atlas, cpu", 30, 50, True)]


def test_a_job_without_times_and_an_attempt_without_an_end_are_left_out():
    assert spans_of(pd.DataFrame([job(), job((5, None)), job((10, None), (30, 50))])) == [
        Span("train", "atlas, cpu", 30, 50, True)
    ]


def test_lanes_hold_no_two_jobs_at_once_and_are_as_few_as_it_takes():
    spans = [Span("train", "a", *times, True) for times in ((0, 10), (0, 5), (5, 12), (10, 20))]
    spans.append(Span("probe", "b", 3, 4, True))
    lanes = lanes_of(spans)
    assert [(place, [(s.began, s.ended) for s in lane]) for place, lane in lanes] == [
        ("a", [(0, 10), (10, 20)]),
        ("a", [(0, 5), (5, 12)]),
        ("b", [(3, 4)]),
    ]


def test_long_idle_times_are_cut_out_and_short_ones_are_not():
    spans = [Span("train", "a", *times, True) for times in ((0, 100), (104, 200), (9000, 9100))]
    assert cuts_of(spans) == [(200, 9000)]
    assert cuts_of([]) == []


def test_bars_stand_where_the_jobs_worked_and_interrupted_ones_are_hatched():
    figure = timeline(pd.DataFrame([job((0, 60)), job((60, 90), (9000, 9060)), job((0, 30), kind="probe")]))
    (axes,) = figure.axes
    bars = sorted((float(bar.get_x()), float(bar.get_width()), bool(bar.get_hatch())) for bar in axes.patches)
    # Minutes; from 90 to 9000 seconds no job ran.
    assert [round(x, 6) for x, *_ in bars] == [0.0, 0.0, 1.0, 1.5]
    assert [round(wide, 6) for _, wide, _ in bars] == [0.5, 1.0, 0.5, 1.0]
    assert [hatched for *_, hatched in bars] == [False, False, True, False]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training", "evaluation", "interrupted"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["atlas, cpu"]


@pytest.mark.parametrize("jobs", [[], [job((0, 60)), job((60, 90), kind="probe")]], ids=["no job", "two jobs"])
def test_the_same_jobs_give_the_same_bytes(tmp_path, jobs):
    _, study = write_study(tmp_path, [])
    place = {"stream": "digits-domain2", "backbone": "conv3", "objective": "simclr", "strategy": "cassle", "seed": 0}
    rows = [{**row, **place, "task": 0, "attempts": 1} for row in jobs]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(tmp_path / "benchmark.csv", index=False)
    for name in ("one", "two"):
        write_timeline(tmp_path / "benchmark.csv", study, tmp_path / name / "timeline.pdf")
    first, again = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert sorted(first) == ["timeline.pdf", "timeline.png", "timeline.svg"]
    assert first == again
