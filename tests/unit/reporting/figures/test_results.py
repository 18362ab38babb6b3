"""The results figure: heights are the numbers of the table, hollow marks those that were published."""

from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import pytest

from cassle.reporting.figures.base import STYLE
from cassle.reporting.figures.results import results
from tests.unit.reporting.made import FINETUNE, rows_of


def heights(axes):
    return [round(bar.get_height(), 6) for bar in axes.patches]


def marks(axes):
    """Heights of the hollow marks, from left to right."""
    hollow = [line for line in axes.lines if line.get_marker() == "D"]
    return [round(float(line.get_ydata()[0]), 6) for line in sorted(hollow, key=lambda line: line.get_xdata()[0])]


def labels(axes):
    return sorted(text.get_text() for text in axes.get_legend().get_texts())


def test_bars_are_strategies_and_a_short_line_is_joint_training(methods):
    (axes,) = results(methods("one seed")).axes
    assert heights(axes) == [70, 78]
    (level,) = axes.collections
    assert [round(y, 6) for _, y in level.get_segments()[0]] == [93, 93]
    assert labels(axes) == ["CaSSLe", "fine-tuning", "offline"]


def test_supervised_fine_tuning_is_a_line_and_no_group(methods):
    rows = [row for name in ("simclr", "supervised") for row in rows_of(FINETUNE, "finetune", objective=name)]
    (axes,) = results(methods(rows=rows, objectives=["simclr", "supervised"], strategies=["finetune"])).axes
    assert heights(axes) == [70]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["SimCLR"]
    assert [list(line.get_ydata()) for line in axes.lines] == [[pytest.approx(70)] * 2]
    assert "supervised fine-tuning" in labels(axes)


def test_variants_are_named_in_short_lines_and_one_of_supervised_training_is_a_line_too(methods):
    names = ["simclr~temperature=0.5~epochs=100", "supervised~epochs=100"]
    rows = [row for name in names for row in rows_of(FINETUNE, "finetune", objective=name)]
    (axes,) = results(methods(rows=rows, objectives=names, strategies=["finetune"])).axes
    (tick,) = [tick.get_text() for tick in axes.get_xticklabels()]
    assert tick == "SimCLR\n(temperature=0.5,\nepochs=100)"
    assert labels(axes) == ["fine-tuning", "supervised (epochs=100) fine-tuning"]


def test_published_numbers_are_hollow_marks_even_where_nothing_ran(methods):
    study = {"backbones": ["resnet18"], "objectives": ["byol", "supervised"], "strategies": ["finetune", "cassle"]}
    (axes,) = results(methods(stream="cifar100-class5", probe="online", **study)).axes
    assert heights(axes) == []
    assert marks(axes) == [52.7, 62.2, 54.1]
    assert labels(axes) == ["published"]
    low, high = axes.get_ylim()
    assert low < 52.7
    assert high > 62.2


def test_published_numbers_of_other_epochs_are_crosses(methods):
    study = {"backbones": ["resnet18"], "objectives": ["byol"], "strategies": ["finetune", "offline"]}
    made = [replace(method, epochs=500) for method in methods(stream="cifar100-class5", probe="online", **study)]
    (axes,) = results(made).axes
    assert marks(axes) == [52.7]  # the official figure's, of 500 epochs
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_ydata()) for line in crosses] == [[pytest.approx(70.5)]]  # of 1000
    assert labels(axes) == ["published", "published, other epochs"]


@pytest.mark.parametrize("situation", ["one seed", "two backbones"])
def test_every_bar_is_within_the_axes(methods, situation):
    (axes,) = results(methods(situation)).axes
    low, high = axes.get_ylim()
    assert all(low < height <= high for height in heights(axes))


def test_names_of_the_papers_objectives_do_not_touch(methods):
    names = ["byol", "barlow_twins", "mocov2plus", "simclr", "swav", "vicreg"]
    study = {"backbones": ["resnet18"], "objectives": names, "strategies": ["finetune", "cassle"]}
    with plt.rc_context(STYLE):
        figure = results(methods(stream="cifar100-class5", probe="online", **study))
        figure.canvas.draw()
        (axes,) = figure.axes
        boxes = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert len(boxes) == 6
    assert all(left.x1 + 4 < right.x0 for left, right in pairwise(boxes))
