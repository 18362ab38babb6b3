"""What all figures share: every situation is drawn, files do not depend on the day, names are those of papers."""

import warnings

import numpy as np
import pytest

from cassle.core.errors import SettingsError
from cassle.reporting.figures import figures, write_figure
from cassle.reporting.figures.base import (
    COLORS,
    OFFLINE_COLOR,
    RANDOM_COLOR,
    color_of,
    in_lines,
    panel_titles,
    panels,
    stacked,
)
from cassle.reporting.rows.matrix import Result
from tests.unit.reporting.made import CASSLE, PROBE, STREAM, all_rows, write_study

from .conftest import SITUATIONS

NAMES = pytest.mark.parametrize("name", figures.names())


@NAMES
@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_figure_draws_every_situation_without_a_warning(name, situation, methods):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = figures.get(name)(methods(situation))
        figure.draw_without_rendering()
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert not [text for text in shown if "nan" in text]


def written(folder, name):
    runs, study = write_study(folder, all_rows() + all_rows(seed=1, shift=0.02), seeds=[0, 1])
    write_figure(runs, study, name, STREAM, PROBE, folder / "figures" / f"{name}.pdf")
    return {file.name: file.read_bytes() for file in (folder / "figures").iterdir()}


@NAMES
def test_the_same_rows_give_the_same_bytes_in_three_formats(name, tmp_path):
    first, again = written(tmp_path / "one", name), written(tmp_path / "two", name)
    assert sorted(first) == [f"{name}.pdf", f"{name}.png", f"{name}.svg"]
    assert first == again
    assert first[f"{name}.pdf"].startswith(b"%PDF")
    assert first[f"{name}.png"].startswith(b"\x89PNG")
    assert b"<svg" in first[f"{name}.svg"]


def test_an_unknown_figure_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match="there is no figure 'bar': did you mean 'bars'"):
        write_figure("runs.csv", "study.json", "bar", STREAM, PROBE, tmp_path / "bar.pdf")


def test_panels_are_objectives_per_backbone_without_the_random_network(methods):
    both, one = panels(methods("two backbones")), panels(methods("one seed"))
    assert list(both) == [("conv3", "simclr"), ("resnet18", "simclr")]
    assert list(panel_titles(both).values()) == ["SimCLR, conv3", "SimCLR, resnet18"]
    assert list(panel_titles(one).values()) == ["SimCLR"]
    assert {method.strategy for method in one["conv3", "simclr"]} == {"finetune", "cassle", "offline"}


def test_a_strategy_keeps_its_color_in_every_panel_and_whatever_ran(methods):
    expected = {"finetune": COLORS[0], "cassle": COLORS[1], "offline": OFFLINE_COLOR, "random": RANDOM_COLOR}
    for situation in ("one seed", "two backbones", "a strategy that did not run"):
        assert color_of(methods(situation)) == expected


def test_many_strategies_have_a_color_each():
    names = [f"cassle (weight={number})" for number in range(24)]
    colors = color_of([Result("conv3", "simclr", name, (0,), {}) for name in names])
    assert len({colors[name] for name in names}) == len(names)
    assert list(colors.values())[: len(COLORS)] == list(COLORS)


def test_what_differs_has_lines_of_its_own_above_a_small_panel():
    title = "SimCLR (epochs=2, lr=0.1), conv3\nCaSSLe+ER (weight=2)"
    assert in_lines(title).split("\n") == ["SimCLR", "(epochs=2,", "lr=0.1), conv3", "CaSSLe+ER", "(weight=2)"]


def test_matrices_are_stacked_by_seed_in_per_cent(methods):
    (method,) = [method for method in methods("three seeds") if method.strategy == "cassle"]
    found = stacked(method)
    assert found.shape == (3, 2, 2)
    for layer, shift in zip(found, (-2, 0, 2), strict=True):
        np.testing.assert_allclose(layer, 100 * np.array(CASSLE) + shift)
