"""SimCLR: contrast two views of an image against every other view in the batch (Chen et al. 2020, 2002.05709)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.options import Options
from cassle.training.step import Batch, Outputs


def simclr_loss(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent, Eq. 1 of the paper, averaged over the 2N anchors.

    ``z1``, ``z2`` (N, D), any scale. With unit rows and S = ZZ^T / temperature over Z = [z1; z2], the loss of anchor
    i is -S[i, pos(i)] + log sum over k != i of exp S[i, k]; pos(i) is the other view of the same image.
    """
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    n = len(z1)
    positives = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(scores, positives)


class SimCLRSettings(Options):
    """Hyper-parameters of SimCLR."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    temperature: float = Field(0.1, gt=0, description="temperature of the contrastive loss")


@objectives.register("simclr")
class SimCLR(Objective):
    """Projector Linear - ReLU - Linear; nothing to carry but weights."""

    Settings = SimCLRSettings
    distillation = "contrastive"

    def __init__(self, settings: SimCLRSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim], batchnorm=False)
        self.output_dim = settings.output_dim

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return NT-Xent between the two views."""
        return simclr_loss(outputs.z[0], outputs.z[1], self.settings.temperature)
