"""t-SNE: neighbors stay together, and the same features lie at the same place."""

import numpy as np

from cassle.reporting.figures.features.base import Snapshot
from cassle.reporting.figures.features.tsne import embedded


def test_two_far_groups_stay_apart_and_the_places_are_fixed():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 20)
    features = rng.normal(size=(40, 8)) + 50.0 * groups[:, None]
    last = Snapshot("conv3", "simclr", "cassle", 1, features.astype(np.float32), groups, groups)
    places = embedded(last)
    assert places.shape == (40, 2)
    np.testing.assert_array_equal(places, embedded(last))
    centers = np.stack([places[groups == group].mean(axis=0) for group in (0, 1)])
    nearest = np.linalg.norm(places[:, None] - centers, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, groups)
