"""What a probe is, and the registry of probes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from cassle.errors import DataError
from cassle.options import Options
from cassle.registry import Registry


class Probe:
    """Predicts labels from the features of a frozen backbone; sees training labels only.

    Subclasses set ``Settings`` and write `predict_with`, a call of the pure function of the same file.
    """

    Settings: ClassVar[type[Options]] = Options

    @classmethod
    def predict(
        cls,
        train_features: Tensor,
        train_labels: Tensor,
        test_features: Tensor,
        num_classes: int,
        seed: int,
        settings: Any = None,
    ) -> Tensor:
        """Return the predicted labels (M,) int64 of test features (M, F), on their device.

        ``train_features`` (N, F) with ``train_labels`` (N,) int64 in 0..num_classes-1; ``settings`` are the probe's,
        by default its default ones; all that is random follows from ``seed``.
        """
        chosen = cls.Settings() if settings is None else settings
        return cls.predict_with(chosen, train_features, train_labels, test_features, num_classes, seed)

    @classmethod
    def predict_with(
        cls,
        settings: Any,
        train_features: Tensor,
        train_labels: Tensor,
        test_features: Tensor,
        num_classes: int,
        seed: int,
    ) -> Tensor:
        """Return the predicted labels under given settings."""
        raise NotImplementedError


probes: Registry[type[Probe]] = Registry("probe", "cassle.evaluation")
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
