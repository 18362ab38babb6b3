"""Means and intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from cassle.reporting.rows.matrix import Result


@dataclass(frozen=True)
class Difference:
    """A mean of differences between runs of the same seeds, with its 95 % confidence interval (NaN for one seed)."""

    mean: float
    low: float
    high: float
    n: int


def spread(values: list[float]) -> float:
    """Return the standard deviation over seeds (n - 1 in the denominator); NaN for fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def paired(method: Result, base: Result, metric: Callable[[Result, int], float]) -> Difference | None:
    """Return the paired difference of a method to ``base``: mean ± t(n-1, 0.975) s / sqrt(n); None without a pair."""
    ours, theirs = method.by_seed(metric), base.by_seed(metric)
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if not differences:
        return None
    n, mean = len(differences), float(np.mean(differences))
    half = float(stdtrit(n - 1, 0.975)) * spread(differences) / np.sqrt(n) if n > 1 else float("nan")
    return Difference(mean, mean - half, mean + half, n)
