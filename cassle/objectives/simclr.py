"""SimCLR: contrast two views of an image against every other view in the batch (Chen et al. 2020, 2002.05709)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


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


def view_masks(ids: Tensor, views: int) -> tuple[Tensor, Tensor]:
    """Return which rows of ``views`` stacked views are positives and which negatives of each other, (VN, VN) bool.

    ``ids`` (N,): rows of one id are positives, rows of different ids negatives; a row itself is neither.

    >>> positives, negatives = view_masks(torch.tensor([0, 1]), 2)
    >>> positives.int().tolist()
    [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    """
    stacked = ids.repeat(views)
    same = stacked[:, None] == stacked
    return same.clone().fill_diagonal_(False), ~same


def masked_simclr_loss(z: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent for any number of positives per anchor; for the masks of two views it is `simclr_loss`.

    ``z`` (M, D), any scale; ``positives``, ``negatives`` (M, M) bool. With unit rows and S = zz^T / temperature, the
    loss of anchor i and its positive j is -S[i, j] + log(exp S[i, j] + sum over negatives k of exp S[i, k]): a positive
    competes with the negatives, not with other positives. It is averaged over the positives of an anchor, then over the
    anchors that have any.
    """
    unit = F.normalize(z, dim=1)
    scores = unit @ unit.T / temperature
    against = scores.masked_fill(~negatives, -torch.inf).logsumexp(dim=1, keepdim=True)
    losses = F.softplus(against - scores, threshold=50).masked_fill(~positives, 0).sum(dim=1)
    count = positives.sum(dim=1)
    return (losses / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


class SimCLRSettings(Options):
    """Hyper-parameters of SimCLR."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    temperature: float = Field(0.1, gt=0, description="temperature of the contrastive loss")


@objectives.register("simclr")
class SimCLR(Objective[SimCLRSettings]):
    """Projector Linear - ReLU - Linear; nothing to carry but weights. Takes any number of views."""

    title = "SimCLR"
    Settings = SimCLRSettings
    original_loss = "per_gpu"
    distillation = "contrastive"
    linear_lr = 1.0
    many_views = True

    def __init__(self, settings: SimCLRSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim], batchnorm=False)
        self.output_dim = settings.output_dim

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return NT-Xent between the views."""
        z, temperature = outputs.z, self.settings.temperature
        if len(z) == 2:
            return simclr_loss(z[0], z[1], temperature)
        masks = view_masks(torch.arange(len(z[0]), device=z[0].device), len(z))
        return masked_simclr_loss(torch.cat(z), *masks, temperature)
