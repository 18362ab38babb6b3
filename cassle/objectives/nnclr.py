"""NNCLR: contrast with the nearest neighbor of the other view in a queue of past projections.

Dwibedi et al. 2021, 2104.14548.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.nets.queue import push
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def nnclr_loss(neighbor: Tensor, p: Tensor, temperature: float) -> Tensor:
    """Return the loss of Section 3.2 of the paper, averaged over the N neighbors; gradients flow into both arguments.

    ``neighbor``, ``p`` (N, D), any scale. With unit rows, S = neighbor p^T / temperature: the loss of neighbor i is
    -S[i, i] + log sum over k of exp S[i, k], one direction only.
    """
    scores = F.normalize(neighbor, dim=1) @ F.normalize(p, dim=1).T / temperature
    return F.cross_entropy(scores, torch.arange(len(p), device=p.device))


@torch.no_grad()
def nearest(z: Tensor, queue: Tensor) -> Tensor:
    """Return for every row of z (N, D) the place (N,) of the most similar of the unit rows of ``queue`` (K, D)."""
    return (F.normalize(z, dim=1) @ queue.T).argmax(dim=1)


class NNCLRSettings(Options):
    """Hyper-parameters of NNCLR."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's two hidden layers")
    output_dim: int = Field(256, gt=0, description="size of the projection z")
    pred_hidden_dim: int = Field(4096, gt=0, description="width of the predictor's hidden layer")
    temperature: float = Field(0.2, gt=0, description="temperature of the contrastive loss")
    queue_size: int = Field(65536, gt=0, description="projections among which neighbors are looked for")


@objectives.register("nnclr")
class NNCLR(Objective[NNCLRSettings]):
    """Predictor on top of the projector, and a queue of the first view's projections; all of it carries over.

    ``queue`` (K, D): unit rows; ``pointer`` (): the row written next. The queue carries over to the next task because
    the network does: its rows are embeddings of the network that continues, so a new image's neighbor is the most
    similar image known so far. A queue restarted with random rows would make random directions the positives of the
    first K / N steps, just when the old features are most at risk. Rows of old tasks are gone after those K / N steps.

    The distillation is contrastive: the frozen model's projection takes the neighbor's place as the positive. It gets
    z as it is, as the objective's own predictor does.
    """

    title = "NNCLR"
    Settings = NNCLRSettings
    original_loss = "per_gpu"
    distillation = "contrastive"

    queue: Tensor
    pointer: Tensor

    def __init__(self, settings: NNCLRSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        width, dim = settings.hidden_dim, settings.output_dim
        self.projector = nn.Sequential(*mlp([backbone.feature_dim, width, width, dim]), nn.BatchNorm1d(dim))
        self.predictor = mlp([dim, settings.pred_hidden_dim, dim])
        self.register_buffer("queue", F.normalize(torch.randn(settings.queue_size, dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.output_dim = dim

    @property
    def anchors(self) -> Tensor:
        """The queue, for distillations that compare the relations of images to stored ones."""
        return self.queue

    def predict(self, z: Tensor) -> Tensor:
        """Return the prediction of a projection."""
        return self.predictor(z)  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the mean of both directions; gradients reach the projections through the predictions only."""
        (z1, z2), (p1, p2) = outputs.z, outputs.p
        first, second = self.queue[nearest(z1, self.queue)], self.queue[nearest(z2, self.queue)]
        temperature = self.settings.temperature
        return (nnclr_loss(first, p2, temperature) + nnclr_loss(second, p1, temperature)) / 2

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Overwrite the oldest rows with the first view's projections; of a longer batch, the last rows stay."""
        push(self.queue, self.pointer, F.normalize(outputs.z[0], dim=1))
