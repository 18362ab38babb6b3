"""Features in two dimensions: their two directions of largest variance."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cassle.reporting.figures.features.base import Points, Run, feature_figures, scatter_by_class_and_task
from cassle.reporting.rows.matrix import Titles


@feature_figures.register("pca")
def pca(runs: dict[Titles, Run]) -> Figure:
    """Return the features of each run's last network on their first two principal components."""
    return scatter_by_class_and_task(runs, lambda last: principal_components(last.features))


def principal_components(features: NDArray[np.floating], count: int = 2) -> Points:
    """Return features (N, F) on their first ``count`` principal components, (N, count), by a singular value
    decomposition of the centered features.

    The sign of a component, which is arbitrary, makes its largest weight positive.
    """
    centered = np.asarray(features, dtype=np.float64)
    centered = centered - centered.mean(axis=0)
    u, s, v = np.linalg.svd(centered, full_matrices=False)
    largest = np.abs(v[:count]).argmax(axis=1)
    signs = np.sign(v[np.arange(len(largest)), largest])
    return np.asarray(u[:, :count] * s[:count] * np.where(signs == 0, 1.0, signs))
