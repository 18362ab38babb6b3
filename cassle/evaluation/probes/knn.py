"""Weighted k-nearest-neighbor classification of features (Wu et al. 2018, 1805.01978)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.errors import CheckpointError
from cassle.core.options import Options
from cassle.evaluation.base import Evaluation, Probe, probes

Distance = Literal["cosine", "euclidean"]
ELEMENTS = 2**24
"""Entries of the largest temporary tensor: 64 MiB in single precision."""


def knn_scores(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    num_classes: int,
    k: int,
    distance: Distance = "cosine",
    temperature: float = 0.07,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return the summed weights (M, C) of the k nearest training rows per class.

    ``train_features`` (N, F), ``train_labels`` (N,) int64 in 0..C-1, ``test_features`` (M, F). ``cosine``: the largest
    dot products s weigh exp(s / temperature); rows are not normalized here. ``euclidean``: the smallest distances d
    weigh 1 / (d + epsilon). All N rows vote if k > N. Which of several rows at exactly the k-th distance counts is
    left to `torch.topk`, the same for the same tensors on the same device; with `argmax`, equal scores go to the
    lowest class. Works through the test rows in chunks of bounded memory.
    """
    k = min(k, len(train_features))
    if distance == "euclidean":  # distances do not change, but their squares lose fewer digits
        center = train_features.mean(dim=0)
        train_features, test_features = train_features - center, test_features - center
    widest = max(len(train_features), k * train_features.shape[1], num_classes)
    scores = []
    for rows in torch.split(test_features, max(1, ELEMENTS // widest)):
        if distance == "cosine":
            similarity, nearest = (rows @ train_features.T).topk(k, dim=1)
            weights = (similarity.double() / temperature).exp()  # single precision overflows below temperature 0.0113
        else:
            squared = train_features.square().sum(dim=1) - 2 * rows @ train_features.T  # the row's own square left out
            nearest = squared.topk(k, dim=1, largest=False).indices
            weights = 1 / ((train_features[nearest] - rows[:, None]).norm(dim=2) + epsilon)
        votes = weights.new_zeros(len(rows), num_classes)
        scores.append(votes.scatter_add_(1, train_labels[nearest], weights))
    return torch.cat(scores)


class KNNSettings(Options):
    """Settings of the k-NN probe."""

    features: Literal["backbone", "projector"] = Field(
        "backbone", description="what is compared: features of the backbone, or their projections"
    )
    k: int = Field(20, gt=0, description="neighbors that vote")
    distance: Distance = Field(
        "cosine", description="cosine of normalized features, or euclidean distance of raw ones (original)"
    )
    temperature: float = Field(0.07, ge=0.002, description="cosine: a neighbor weighs exp(cosine / temperature)")
    epsilon: float = Field(1e-5, gt=0, description="euclidean: a neighbor weighs 1 / (distance + epsilon)")


@probes.register("knn")
class KNN(Probe[KNNSettings]):
    """The class with the largest sum of weights among the nearest training images; nothing is random."""

    title = "k-NN"
    Settings = KNNSettings

    def scores(self, data: Evaluation) -> Tensor:
        """Return `knn_scores`; `CheckpointError` if projections are asked of a backbone that came alone."""
        train, test = data.train.features, data.test.features
        if self.needs_training:
            if data.project is None:
                raise CheckpointError("probe knn: this file holds no projector; leave out features: projector")
            train, test = data.project(train), data.project(test)
        if self.settings.distance == "cosine":
            train, test = F.normalize(train, dim=1), F.normalize(test, dim=1)
        settings = self.settings.model_dump(exclude={"features"})
        return knn_scores(train, data.train.labels, test, data.num_classes, **settings)

    @property
    def needs_training(self) -> bool:
        """Whether projections are compared."""
        return bool(self.settings.features == "projector")
