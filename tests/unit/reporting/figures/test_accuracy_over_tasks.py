"""Accuracy over tasks: a point is the mean of a row of A."""

from dataclasses import replace

import numpy as np
import pytest

from cassle.reporting.figures.accuracy_over_tasks import accuracy_over_tasks
from tests.unit.reporting.made import FINETUNE, rows_of


def shown(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def curves(axes):
    return {line.get_label(): list(np.round(line.get_ydata(), 6)) for line in axes.lines}


def labels(figure):
    (legend,) = figure.legends
    return sorted(text.get_text() for text in legend.get_texts())


def test_points_are_means_over_all_tasks_after_each_task(methods):
    (axes,) = shown(accuracy_over_tasks(methods("one seed")))
    assert curves(axes) == {
        "fine-tuning": [55, 70],  # (80 + 30) / 2 and (50 + 90) / 2
        "CaSSLe": [55, 78],
        "offline": [93, 93],
        "random network": [15, 15],
    }
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[1, 2], [1, 2]]
    assert len(axes.collections) == 0


def test_bands_are_standard_deviations_over_seeds(methods):
    (axes,) = shown(accuracy_over_tasks(methods("three seeds")))
    assert curves(axes)["CaSSLe"] == [55, 78]
    _, band = axes.collections
    edges = {round(x): [] for x, _ in band.get_paths()[0].vertices}
    for x, y in band.get_paths()[0].vertices:
        edges[round(x)].append(y)
    assert {x: (min(ys), max(ys)) for x, ys in edges.items()} == {
        1: pytest.approx((53, 57)),
        2: pytest.approx((76, 80)),
    }


def test_a_panel_per_objective_and_backbone_with_its_own_random_network(methods):
    panels = shown(accuracy_over_tasks(methods("two backbones")))
    assert [axes.get_title() for axes in panels] == ["SimCLR, conv3", "SimCLR, resnet18"]
    assert all(curves(axes)["random network"] == [15, 15] for axes in panels)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_panels_fill_rows_of_four(methods, count):
    objectives = [f"method{number}" for number in range(count)]
    rows = [row for objective in objectives for row in rows_of(FINETUNE, "finetune", objective=objective)]
    figure = accuracy_over_tasks(methods(rows=rows, objectives=objectives, strategies=["finetune"]))
    assert [axes.get_title() for axes in shown(figure)] == objectives
    assert len(figure.axes) == (count if count <= 4 else 4 * -(-count // 4))


def test_a_strategy_that_did_not_run_has_no_curve(methods):
    (axes,) = shown(accuracy_over_tasks(methods("a strategy that did not run")))
    assert set(curves(axes)) == {"CaSSLe", "offline", "random network"}


def test_a_task_that_was_not_evaluated_leaves_a_gap(methods):
    (axes,) = shown(accuracy_over_tasks(methods("a task that was not evaluated")))
    first, second = curves(axes)["CaSSLe"]
    assert first == 55
    assert np.isnan(second)


def test_published_accuracies_are_hollow_marks_in_the_color_of_their_strategy(methods):
    study = {"backbones": ["resnet18"], "objectives": ["simclr"], "strategies": ["cassle"]}
    figure = accuracy_over_tasks(methods(stream="cifar100-class5", probe="online", **study))
    (axes,) = shown(figure)
    line, proxy = axes.lines
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == pytest.approx([44.8, 53.0, 55.1, 57.0, 58.3])
    assert line.get_markerfacecolor() == "white"
    assert labels(figure) == ["published"]
    assert len(proxy.get_xdata()) == 0


def test_published_accuracies_of_other_epochs_are_not_drawn(methods):
    study = {"backbones": ["resnet18"], "objectives": ["simclr"], "strategies": ["cassle"]}
    (method,) = methods(stream="cifar100-class5", probe="online", **study)
    published = {name: replace(number, epochs=200) for name, number in method.published.items()}
    figure = accuracy_over_tasks([replace(method, epochs=500, published=published)])
    (axes,) = shown(figure)
    assert not axes.lines
    assert not labels(figure)


@pytest.mark.parametrize("situation", ["one seed", "two backbones", "two objectives, one of them not run"])
def test_one_legend_names_every_curve_of_every_panel(methods, situation):
    figure = accuracy_over_tasks(methods(situation))
    assert labels(figure) == ["CaSSLe", "fine-tuning", "offline", "random network"]
