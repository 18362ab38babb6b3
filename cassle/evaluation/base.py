"""What a probe is, and the registry of probes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from cassle.errors import DataError
from cassle.options import Options, parse
from cassle.registry import Registry


class Probe:
    """Predicts labels from the features of a frozen backbone; sees training labels only.

    Subclasses set ``Settings`` and write `predict`, a call of the pure functions of the same file.
    """

    Settings: ClassVar[type[Options]] = Options

    def __init__(self, **settings: Any) -> None:
        self.settings: Any = parse(self.Settings, settings, f"probe {type(self).__name__}")

    def predict(
        self, train_features: Tensor, train_labels: Tensor, test_features: Tensor, num_classes: int, seed: int
    ) -> Tensor:
        """Return the predicted labels (M,) int64 of test features (M, F), on their device.

        ``train_features`` (N, F) with ``train_labels`` (N,) int64 in 0..num_classes-1; all that is random follows from
        ``seed``.
        """
        raise NotImplementedError


probes: Registry[type[Probe]] = Registry("probe", "cassle.evaluation.probes")
"""Probe name -> class."""


def accuracy_by_task(predicted: Tensor, labels: Tensor, test_task: Tensor, tasks: int) -> list[float]:
    """Return per task the fraction of its test images whose label was predicted: one row A[t, :].

    ``predicted``, ``labels`` and ``test_task`` (M,) int64. Raises `DataError` for a task without test images.
    """
    hits = (predicted.cpu() == labels.cpu()).double()
    test_task = test_task.cpu()
    counts = torch.bincount(test_task, minlength=tasks)
    if empty := (counts[:tasks] == 0).nonzero().flatten().tolist():
        raise DataError(f"task {empty[0]} has no test images, so it has no accuracy; prepare the data set again")
    correct = torch.bincount(test_task, weights=hits, minlength=tasks)
    return (correct / counts)[:tasks].tolist()
