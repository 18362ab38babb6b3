"""Barlow Twins: make the cross-correlation of two views the identity (Zbontar et al. 2021, 2103.03230)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def standardize(z: Tensor, eps: float = 1e-5) -> Tensor:
    """Return z (N, D) with mean 0 and variance 1 per feature over the batch (biased variance, plus ``eps``)."""
    centered = z - z.mean(dim=0)
    return centered / (centered.square().mean(dim=0) + eps).sqrt()


def barlow_loss(z1: Tensor, z2: Tensor, lamb: float, scale_loss: float) -> Tensor:
    """Return Eq. 1 of the paper times ``scale_loss``.

    ``z1``, ``z2`` (N, D). With C = standardize(z1)^T standardize(z2) / N (D, D): the sum of (C_dd - 1)^2 over the
    diagonal plus ``lamb`` times the sum of C_de^2 off it.
    """
    correlation = standardize(z1).T @ standardize(z2) / len(z1)
    diagonal = torch.diagonal(correlation)
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return scale_loss * ((diagonal - 1).square().sum() + lamb * off_diagonal)


class BarlowTwinsSettings(Options):
    """Hyper-parameters of Barlow Twins."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's two hidden layers")
    output_dim: int = Field(2048, gt=0, description="size of the projection z")
    lamb: float = Field(5e-3, ge=0, description="weight of the off-diagonal terms")
    scale_loss: float = Field(0.025, gt=0, description="factor on the whole loss")


@objectives.register("barlow_twins")
class BarlowTwins(Objective[BarlowTwinsSettings]):
    """Projector of three linear layers with BatchNorm; nothing to carry but weights."""

    title = "Barlow Twins"
    Settings = BarlowTwinsSettings
    original_loss = "undifferentiated"
    distillation = "decorrelative"
    linear_lr = 0.1

    def __init__(self, settings: BarlowTwinsSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        width = settings.hidden_dim
        self.projector = mlp([backbone.feature_dim, width, width, settings.output_dim])
        self.output_dim = settings.output_dim

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the Barlow Twins loss between the two views."""
        return barlow_loss(outputs.z[0], outputs.z[1], self.settings.lamb, self.settings.scale_loss)
