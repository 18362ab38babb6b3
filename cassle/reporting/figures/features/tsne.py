"""Features in two dimensions: t-SNE, which keeps neighbors together (van der Maaten & Hinton 2008)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib.figure import Figure

from cassle.reporting.figures.features.base import Points, Run, Snapshot, feature_figures, scatter_by_class_and_task
from cassle.reporting.figures.features.pca import principal_components
from cassle.reporting.rows.matrix import Titles

PERPLEXITY = 30
DIMENSIONS = 50
"""Principal components that distances are measured in, as the authors do."""


@feature_figures.register("tsne")
def tsne(runs: dict[Titles, Run]) -> Figure:
    """Return the features of each run's last network in the plane; distances between far groups mean nothing."""
    return scatter_by_class_and_task(runs, embedded)


def embedded(last: Snapshot) -> Points:
    """Return the place of each image, (N, 2), the same for the same features."""
    from sklearn.manifold import TSNE

    reduced = principal_components(last.features, DIMENSIONS)
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    with _one_thread():
        places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    return np.asarray(places, dtype=np.float64)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: sums differ with the number of threads, and threads that wait for cores are slow."""
    from threadpoolctl import threadpool_limits

    before = os.environ.get("OMP_NUM_THREADS")
    # without it, scikit-learn counts the physical cores, which warns where /sys is not mounted
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with threadpool_limits(1):
            yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
