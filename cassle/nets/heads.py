"""Heads: projectors, predictors and prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(sizes: Sequence[int], batchnorm: bool = True, bias: bool = True) -> nn.Sequential:
    """Return Linear - [BatchNorm] - ReLU blocks from ``sizes[0]`` to ``sizes[-1]``; the last layer is linear.

    ``bias`` is that of the hidden layers' linear maps; the last one always has a bias.

    >>> [type(layer).__name__ for layer in mlp([4, 8, 2])]
    ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers.append(nn.Linear(before, after, bias=bias))
        if batchnorm:
            layers.append(nn.BatchNorm1d(after))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Prototypes(nn.Module):
    """K directions that embeddings are scored against; rows are unit vectors, times a learned gain if asked for.

    ``free_gain`` keeps a magnitude per prototype as the original release does (weight normalization, Salimans &
    Kingma 2016); without it the scores are cosines (Caron et al. 2020).
    """

    def __init__(self, dim: int, count: int, free_gain: bool = False) -> None:
        super().__init__()
        weight = nn.Linear(dim, count, bias=False).weight.detach()
        self.direction = nn.Parameter(weight)
        self.gain = nn.Parameter(weight.norm(dim=1, keepdim=True)) if free_gain else None

    def matrix(self) -> Tensor:
        """Return the (K, D) matrix whose rows are the prototypes."""
        unit = F.normalize(self.direction, dim=1)
        return unit if self.gain is None else self.gain * unit

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (B, K) of embeddings (B, D)."""
        return torch.mm(x, self.matrix().T)
