"""Weighted k nearest neighbours on frozen features (Wu et al. 2018, 1805.01978)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.evaluation.base import probes

NEIGHBOURS = 20
TEMPERATURE = 0.07
CHUNK = 1024
"""Test rows compared at once, which bounds the memory."""


def knn_scores(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    num_classes: int,
    k: int = NEIGHBOURS,
    distance: Literal["cosine", "euclidean"] = "cosine",
    temperature: float = TEMPERATURE,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return the summed weights of the k nearest neighbours per class, (M, num_classes).

    ``train`` (N, F), ``labels`` (N,), ``test`` (M, F). A neighbour weighs exp(similarity / temperature) for ``cosine``,
    where the similarity is the plain dot product (normalise beforehand), and 1 / (distance + epsilon) for ``euclidean``.
    """
    k = min(k, len(train))
    scores = torch.zeros(len(test), num_classes, dtype=test.dtype, device=test.device)
    for rows in torch.arange(len(test), device=test.device).split(CHUNK):
        if distance == "cosine":
            similarity, nearest = (test[rows] @ train.T).topk(k, dim=1)
            weights = (similarity / temperature).exp()
        else:
            far, nearest = torch.cdist(test[rows], train).topk(k, dim=1, largest=False)
            weights = 1 / (far + epsilon)
        part = torch.zeros(len(rows), num_classes, dtype=test.dtype, device=test.device)
        scores[rows] = part.scatter_add_(1, labels[nearest], weights)
    return scores


@probes.register("knn")
def knn(train: Tensor, labels: Tensor, test: Tensor, num_classes: int, seed: int) -> Tensor:
    """Return the labels predicted by 20 cosine neighbours at temperature 0.07 on normalised features."""
    scores = knn_scores(F.normalize(train, dim=1), labels, F.normalize(test, dim=1), num_classes)
    return scores.argmax(dim=1)
