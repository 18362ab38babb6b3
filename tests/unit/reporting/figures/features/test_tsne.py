"""t-SNE: neighbors stay together, and the same features lie at the same place."""

import os

import numpy as np
import pytest

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


@pytest.mark.parametrize("threads", [None, "3"])
def test_physical_cores_are_not_counted_as_sys_may_not_be_mounted(monkeypatch, threads):
    def cpu_count(**only):
        raise FileNotFoundError("/sys/devices/system/cpu")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr("sklearn.utils._openmp_helpers.cpu_count", cpu_count)
    monkeypatch.setattr("sklearn.utils._openmp_helpers._CPU_COUNTS", {})
    features = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    embedded(Snapshot("conv3", "simclr", "cassle", 1, features, np.zeros(20), np.zeros(20)))
    assert os.environ.get("OMP_NUM_THREADS") == threads
