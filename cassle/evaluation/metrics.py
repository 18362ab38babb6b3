"""Metrics of continual learning, from the matrix of accuracies (CaSSLe, 2112.04215, Section 5).

``A[t, i]`` is the accuracy on task i's test images of the model after task t, a fraction of 1. A cell that was not
measured is NaN, and makes every metric NaN that needs it: a mean over what happens to be there is never given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def average_accuracy(accuracies: ArrayLike) -> float:
    """Return the mean over tasks of the last model's accuracies: mean_i A[T-1, i].

    ``accuracies`` (models, tasks); a single row is a model trained on everything at once. A fraction of 1.

    >>> average_accuracy([[0.9, 0.2], [0.7, 0.8]])
    0.75
    """
    return float(_matrix(accuracies)[-1].mean())


def forgetting(accuracies: ArrayLike) -> float:
    """Return how far tasks fell below their best: 1/(T-1) sum_{i<T-1} max_t (A[t, i] - A[T-1, i]).

    ``accuracies`` (T, T); t runs over all models, so the result is never negative. NaN for a single task.

    >>> round(forgetting([[0.9, 0.2], [0.7, 0.8]]), 3)
    0.2
    """
    a = _square(accuracies)
    return float((a.max(axis=0) - a[-1])[:-1].mean()) if len(a) > 1 else float("nan")


def forward_transfer(accuracies: ArrayLike, random: ArrayLike) -> float:
    """Return what a task gains from the ones before it: 1/(T-1) sum_{i>=1} (A[i-1, i] - R[i]).

    ``accuracies`` (T, T); ``random`` (T,) accuracies of the network before any training. NaN for a single task.

    >>> round(forward_transfer([[0.9, 0.6], [0.7, 0.8]], [0.4, 0.5]), 3)
    0.1
    """
    a, r = _square(accuracies), np.asarray(random, dtype=np.float64)
    if r.shape != (len(a),):
        raise ValueError(f"expected {len(a)} accuracies of the random network, got an array of shape {r.shape}")
    return float((np.diagonal(a, offset=1) - r[1:]).mean()) if len(a) > 1 else float("nan")


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> float:
    """Return the fraction of rows whose label is among the k classes of highest score.

    ``scores`` (N, C), ``labels`` (N,) in 0..C-1. Equal scores rank by class, the lowest first; with k >= C every row
    counts. NaN without rows.

    >>> top_k_accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    ranked = np.argsort(-np.asarray(scores, dtype=np.float64), axis=1, kind="stable")[:, :k]
    hits = (ranked == np.asarray(labels)[:, None]).any(axis=1)
    return float(hits.mean()) if len(hits) else float("nan")


def _matrix(accuracies: ArrayLike) -> Matrix:
    a: NDArray[Any] = np.asarray(accuracies, dtype=np.float64)
    if a.ndim != 2 or not a.size:
        raise ValueError(f"accuracies form a matrix (models, tasks), got an array of shape {a.shape}")
    return a


def _square(accuracies: ArrayLike) -> Matrix:
    a = _matrix(accuracies)
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"expected one model per task, got {a.shape[0]} models for {a.shape[1]} tasks")
    return a
