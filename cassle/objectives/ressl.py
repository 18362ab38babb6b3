"""ReSSL: relate an image to past images as a slowly moving copy does with its other view (Zheng et al. 2021).

2107.09282.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.ema import momentum_tau
from cassle.nets.heads import mlp
from cassle.nets.momentum import MomentumNetwork
from cassle.nets.queue import push
from cassle.objectives.base import Moment, Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def ressl_loss(query: Tensor, key: Tensor, queue: Tensor, temperature_q: float, temperature_k: float) -> Tensor:
    """Return the cross-entropy between two relations to the queue, averaged over the N queries.

    ``query``, ``key`` (N, D) and ``queue`` (K, D), all unit rows. The relation of a row x is the softmax of x queue^T /
    temperature over the K rows; that of the key, sharpened by a lower temperature, is the target (Section 3.2 of the
    paper): -sum over m of relation(key)[m] log relation(query)[m]. No gradient reaches ``key``.
    """
    target = (key.detach() @ queue.T / temperature_k).softmax(dim=1)
    return F.cross_entropy(query @ queue.T / temperature_q, target)


class ReSSLSettings(Options):
    """Hyper-parameters of ReSSL."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(256, gt=0, description="size of the projection z")
    batchnorm: bool = Field(False, description="BatchNorm in the projector")
    temperature_q: float = Field(0.1, gt=0, description="temperature of the query's relation to the queue")
    temperature_k: float = Field(0.04, gt=0, description="temperature of the key's, lower so that it is sharper")
    queue_size: int = Field(65536, gt=0, description="past keys that images are related to")
    base_tau: float = Field(0.99, ge=0, le=1, description="momentum coefficient at the start of every task")
    final_tau: float = Field(1.0, ge=0, le=1, description="momentum coefficient at the end of every task")


@objectives.register("ressl")
class ReSSL(Objective[ReSSLSettings]):
    """Momentum network and a queue of its projections of the second view; all of it carries over to the next task.

    ``queue`` (K, D): unit rows; ``pointer`` (): the row written next. The first view is the query, the second the key,
    one direction only: the second view may therefore be augmented less.
    """

    title = "ReSSL"
    Settings = ReSSLSettings
    distillation = "relational"
    linear_lr = 3.0
    has_momentum = True

    queue: Tensor
    pointer: Tensor

    def __init__(self, settings: ReSSLSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        dim = settings.output_dim
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, dim], batchnorm=settings.batchnorm)
        self.momentum = MomentumNetwork(backbone, self.projector)
        self.register_buffer("queue", F.normalize(torch.randn(settings.queue_size, dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.output_dim = dim

    @property
    def anchors(self) -> Tensor:
        """The queue, for distillations that compare the relations of images to stored ones."""
        return self.queue

    def targets(self, views: list[Tensor]) -> list[Tensor]:
        """Return the momentum network's projections of the views."""
        return self.momentum(views)  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return `ressl_loss` of the first view's projection and the momentum network's of the second."""
        query, key = F.normalize(outputs.z[0], dim=1), F.normalize(outputs.targets[1].detach(), dim=1)
        # a copy, as the queue moves before gradients are taken
        queue = self.queue.clone()
        return ressl_loss(query, key, queue, self.settings.temperature_q, self.settings.temperature_k)

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Overwrite the oldest rows with the second view's keys; of a longer batch, the last rows stay."""
        push(self.queue, self.pointer, F.normalize(outputs.targets[1], dim=1))

    def distillation_input(self, z: Tensor) -> Tensor:
        """Return unit rows: the loss depends on the direction of projections only."""
        return F.normalize(z, dim=1)

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Update the momentum network."""
        tau = momentum_tau(self.settings.base_tau, self.settings.final_tau, moment.step, moment.steps)
        self.momentum.follow(backbone, self.projector, tau)
