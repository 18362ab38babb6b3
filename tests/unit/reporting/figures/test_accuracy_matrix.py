"""Accuracy matrices: every cell shows its number."""

import pytest

from cassle.reporting.figures.accuracy_matrix import accuracy_matrix
from tests.unit.reporting.made import rows_of


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.images}


def numbers(axes):
    """(row, column) -> the text in the method."""
    return {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}


def test_a_panel_per_strategy_shows_the_matrix_in_per_cent(methods):
    found = panels(accuracy_matrix(methods("one seed")))
    assert list(found) == ["SimCLR\nfine-tuning", "SimCLR\nCaSSLe", "SimCLR\noffline"]
    assert numbers(found["SimCLR\nfine-tuning"]) == {(0, 0): "80", (0, 1): "30", (1, 0): "50", (1, 1): "90"}
    assert numbers(found["SimCLR\noffline"]) == {(0, 0): "90", (0, 1): "96"}


def test_rows_are_models_and_columns_evaluated_tasks_counted_from_1(methods):
    found = panels(accuracy_matrix(methods("one seed")))
    names = [
        [[tick.get_text() for tick in ticks()] for ticks in (axes.get_yticklabels, axes.get_xticklabels)]
        for axes in found.values()
    ]
    assert names == [[["1", "2"], ["1", "2"]]] * 2 + [[["all"], ["1", "2"]]]


def test_seeds_are_averaged(methods):
    found = panels(accuracy_matrix(methods("three seeds")))
    assert numbers(found["SimCLR\nCaSSLe"]) == {(0, 0): "80", (0, 1): "30", (1, 0): "70", (1, 1): "86"}


def test_all_panels_share_one_scale_so_that_colors_compare(methods):
    limits = [axes.images[0].get_clim() for axes in panels(accuracy_matrix(methods("one seed"))).values()]
    assert limits == [pytest.approx((30, 96))] * 3


def test_backbones_stand_below_each_other(methods):
    figure = accuracy_matrix(methods("two backbones"))
    assert list(panels(figure)) == [
        f"SimCLR, {backbone}\n{strategy}"
        for backbone in ("conv3", "resnet18")
        for strategy in ("fine-tuning", "CaSSLe", "offline")
    ]


def test_a_strategy_that_did_not_run_has_no_panel(methods):
    found = panels(accuracy_matrix(methods("a strategy that did not run")))
    assert list(found) == ["SimCLR\nCaSSLe", "SimCLR\noffline"]


def test_a_task_that_was_not_evaluated_has_no_number(methods):
    axes = panels(accuracy_matrix(methods("a task that was not evaluated")))["SimCLR\nCaSSLe"]
    found = numbers(axes)
    assert {place: found[place] for place in ((0, 0), (0, 1), (1, 0))} == {(0, 0): "80", (0, 1): "30", (1, 0): "70"}
    assert not any(sign.isdigit() or sign == "n" for sign in found.get((1, 1), ""))


@pytest.mark.parametrize("tasks", [3, 8])
def test_numbers_stand_out_from_their_background(methods, tasks):
    matrix = [[(row * tasks + column) / tasks**2 for column in range(tasks)] for row in range(tasks)]
    rows = rows_of(matrix, "finetune")
    (axes,) = panels(accuracy_matrix(methods(rows=rows, strategies=["finetune"]))).values()
    colors = {float(text.get_text()): text.get_color() for text in axes.texts}
    assert colors[min(colors)] == "white"
    assert colors[max(colors)] == "black"
    assert len(axes.texts) == tasks**2
