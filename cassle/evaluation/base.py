"""What a probe is, the registry of probes, and accuracy per task."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from cassle.registry import Registry


class Probe(Protocol):
    """Predicts labels of test features from labelled training features."""

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, num_classes: int, seed: int) -> Tensor:
        """Return predicted labels (M,) int64 for ``test`` (M, F), from ``train`` (N, F) and its ``labels`` (N,)."""
        ...


probes: Registry[Probe] = Registry("probe", "cassle.evaluation.probes")
"""Probe name -> function."""


def accuracy_by_task(predicted: Tensor, labels: Tensor, tasks: Tensor, count: int) -> list[float]:
    """Return the fraction of right predictions among the test images of each of ``count`` tasks; all inputs (M,)."""
    right = (predicted == labels).double()
    return [float(right[tasks == task].mean()) for task in range(count)]
