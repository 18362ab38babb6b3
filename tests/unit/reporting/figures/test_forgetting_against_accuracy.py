"""Forgetting against accuracy: a point per objective and strategy, where the table says."""

import pytest

from cassle.reporting.figures.forgetting_against_accuracy import forgetting_against_accuracy


def points(axes):
    return sorted(
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if len(line.get_xdata())
    )


def test_a_point_lies_at_forgetting_and_accuracy(methods):
    (axes,) = forgetting_against_accuracy(methods("one seed")).axes
    assert [pytest.approx(point) for point in [(10, 78), (30, 70)]] == points(axes)


def test_whiskers_are_standard_deviations_over_seeds(methods):
    (axes,) = forgetting_against_accuracy(methods("three seeds")).axes
    lengths = {round(max(end) - min(end), 4) for bars in axes.collections for end in bars.get_segments()[0].T}
    assert lengths == {0.0, 4.0}  # CaSSLe's A is 78 ± 2; nothing else differs between seeds


def test_colors_are_strategies_and_shapes_objectives(methods):
    (axes,) = forgetting_against_accuracy(methods("two backbones")).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["fine-tuning", "CaSSLe", "SimCLR, conv3", "SimCLR, resnet18"]
    assert len(points(axes)) == 4


@pytest.mark.parametrize(("situation", "count"), [("a strategy that did not run", 1), ("nothing that ran", 0)])
def test_what_did_not_run_has_no_point(methods, situation, count):
    (axes,) = forgetting_against_accuracy(methods(situation)).axes
    assert len(points(axes)) == count
