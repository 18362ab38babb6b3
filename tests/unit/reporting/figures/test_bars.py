"""Bars: heights and whiskers are the numbers of the table."""

from itertools import pairwise

import pytest

from cassle.reporting.figures.bars import bars


def heights(axes):
    return [round(bar.get_height(), 6) for bar in axes.patches]


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def whiskers(axes):
    """Half the length of each whisker, from left to right."""
    found = []
    for container in axes.containers:
        if (errorbar := getattr(container, "errorbar", None)) is not None:
            (lines,) = errorbar.lines[2]
            found += [(end[1] - start[1]) / 2 for start, end in lines.get_segments()]
    return found


def test_a_bar_is_as_high_as_the_average_accuracy_and_says_so(methods):
    (axes,) = bars(methods("one seed")).axes
    assert heights(axes) == [70, 78, 93]
    assert [text.get_text() for text in axes.texts] == ["70.0", "78.0", "93.0"]
    assert whiskers(axes) == []


def test_the_random_network_is_a_line(methods):
    (axes,) = bars(methods("one seed")).axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == pytest.approx([15, 15])
    assert sorted(labels(axes)) == ["CaSSLe", "fine-tuning", "offline", "random network"]


def test_whiskers_are_standard_deviations_over_seeds(methods):
    (axes,) = bars(methods("three seeds")).axes
    assert heights(axes) == [70, 78, 93]
    assert whiskers(axes) == pytest.approx([0, 2, 0], abs=1e-9)


def test_bars_stand_side_by_side_in_groups(methods):
    (axes,) = bars(methods("two backbones")).axes
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert [round((a + b) / 2) for a, b in spans] == [0, 0, 0, 1, 1, 1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["SimCLR, conv3", "SimCLR, resnet18"]


@pytest.mark.parametrize(
    ("situation", "left"),
    [("a strategy that did not run", [78, 93]), ("a task that was not evaluated", [70, 93]), ("nothing that ran", [])],
)
def test_what_is_missing_has_no_bar(methods, situation, left):
    (axes,) = bars(methods(situation)).axes
    assert heights(axes) == left


def test_the_legend_names_every_bar_also_those_missing_in_the_first_group(methods):
    (axes,) = bars(methods("two objectives, one of them not run")).axes
    assert sorted(labels(axes)) == ["CaSSLe", "fine-tuning", "offline", "random network"]


def test_no_bar_is_cut_off_at_its_foot(methods):
    (axes,) = bars(methods("one seed")).axes
    assert axes.get_ylim()[0] < 15
    assert axes.get_ylim()[0] >= 0
