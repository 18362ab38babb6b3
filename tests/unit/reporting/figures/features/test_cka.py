"""Linear CKA: cases worked out by hand, and what must not change it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassle.reporting.figures.features.base import Snapshot
from cassle.reporting.figures.features.cka import cka, linear_cka
from cassle.reporting.rows.matrix import Titles


def features(seed, dim=4):
    return np.random.default_rng(seed).normal(size=(12, dim))


def test_a_case_worked_out_by_hand():
    # Centered x = (1, 0, -1), y = (1, -2, 1) and z = x + y: x.y = 0, x.z = |x|^2 = 2, |y|^2 = 6, |z|^2 = 8.
    x, y = np.array([[1.0], [0.0], [-1.0]]), np.array([[1.0], [-2.0], [1.0]])
    assert linear_cka(x, y) == 0
    assert linear_cka(x, x + y) == pytest.approx(2**2 / (2 * 8))
    # With both as columns: |Y^T X|^2 = 2^2, |X^T X| = 2, |Y^T Y| = sqrt(2^2 + 6^2).
    assert linear_cka(x, np.hstack([x, y])) == pytest.approx(4 / (2 * math.sqrt(40)))


@given(st.integers(0, 50), st.floats(0.1, 10), st.floats(-5, 5))
def test_rotation_scale_and_shift_change_nothing(seed, scale, shift):
    x, y = features(seed), features(seed + 1, dim=3)
    rotation = np.linalg.qr(features(seed + 2)[:4])[0]
    moved = linear_cka(scale * x @ rotation + shift, y)
    assert moved == pytest.approx(linear_cka(x, y), abs=1e-9)
    assert 0 <= moved <= 1
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))
    assert linear_cka(x, x) == pytest.approx(1)


def test_features_that_never_change_have_no_similarity():
    assert math.isnan(linear_cka(np.ones((5, 2)), features(0)[:5]))


def test_the_map_shows_the_similarity_of_every_pair_of_tasks():
    def snapshot(task, seed):
        nothing = np.zeros(12, dtype=np.int64)
        return Snapshot("conv3", "simclr", "cassle", task, features(seed).astype(np.float32), nothing, nothing)

    figure = cka(
        {
            Titles("Conv-3", "SimCLR", "CaSSLe"): [snapshot(0, 1), snapshot(1, 2)],
            Titles("Conv-3", "SimCLR", "offline"): [snapshot(0, 3)],
        }
    )
    (axes,) = [axes for axes in figure.axes if axes.images]
    assert axes.get_title() == "SimCLR\nCaSSLe"
    shown = [text.get_text() for text in axes.texts]
    other = f"{linear_cka(features(1).astype(np.float32), features(2).astype(np.float32)):.2f}"
    assert shown == ["1.00", other, other, "1.00"]
