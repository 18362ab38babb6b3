"""Principal components, against what they are by definition and against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from cassle.reporting.figures.features.pca import principal_components


def features(seed=0, images=30, dim=5):
    return np.random.default_rng(seed).normal(size=(images, dim)) * np.arange(1, dim + 1)


def test_points_on_a_line_lie_on_the_first_component():
    line = np.outer([-1.0, 0.0, 3.0], [0.6, 0.8]) + np.array([5.0, -2.0])
    found = principal_components(line)
    assert found[:, 0] == pytest.approx([-5 / 3, -2 / 3, 7 / 3])
    assert found[:, 1] == pytest.approx([0, 0, 0], abs=1e-12)


@given(st.integers(0, 20))
def test_it_is_what_scikit_learn_finds_up_to_signs(seed):
    found, known = principal_components(features(seed)), PCA(2, svd_solver="full").fit_transform(features(seed))
    np.testing.assert_allclose(np.abs(found), np.abs(known), atol=1e-8)


def test_a_sign_is_fixed_by_the_largest_weight():
    x = features()
    np.testing.assert_allclose(principal_components(x)[::-1], principal_components(x[::-1]), atol=1e-8)
    np.testing.assert_allclose(principal_components(x), principal_components(x + 7), atol=1e-8)


def test_fewer_dimensions_than_asked_for_give_what_there_is():
    assert principal_components(features(dim=2), count=50).shape == (30, 2)
