"""SupCon: contrast every view with all views of the same label (Khosla et al. 2020, 2004.11362)."""

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


def positive_pairs(labels: Tensor) -> Tensor:
    """Return for labels (N,) of two views which of the 2N rows are positives of each other, (2N, 2N) bool.

    Positives share a label; the other view of an image is always one, a row itself never.

    >>> positive_pairs(torch.tensor([7, 8])).int().tolist()
    [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    """
    both = labels.repeat(2)
    return (both[:, None] == both).fill_diagonal_(False)


def supcon_loss(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the loss L_out, Eq. 2 of the paper, averaged over the 2N anchors.

    ``z1``, ``z2`` (N, D), any scale; ``labels`` (N,). With unit rows and S = ZZ^T / temperature over Z = [z1; z2], the
    loss of anchor i is the mean over its positives j of -S[i, j] + log sum over k != i of exp S[i, k]: other positives
    count in the denominator, and there is no factor of temperature. If all labels differ, this is NT-Xent.
    """
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    positives = positive_pairs(labels)
    chosen = scores.log_softmax(dim=1).masked_fill(~positives, 0)
    return -(chosen.sum(dim=1) / positives.sum(dim=1)).mean()


class SupConSettings(Options):
    """Hyper-parameters of SupCon."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    temperature: float = Field(0.1, gt=0, description="temperature of the contrastive loss")


@objectives.register("supcon")
class SupCon(Objective[SupConSettings]):
    """Projector Linear - ReLU - Linear; nothing to carry but weights."""

    title = "SupCon"
    Settings = SupConSettings
    original_loss = "per_gpu"
    distillation = "contrastive"
    linear_lr = 1.0
    supervised = True

    def __init__(self, settings: SupConSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim], batchnorm=False)
        self.output_dim = settings.output_dim

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return SupCon over the two views, with the batch's labels."""
        z1, z2 = outputs.z
        return supcon_loss(z1, z2, batch.labels, self.settings.temperature)
