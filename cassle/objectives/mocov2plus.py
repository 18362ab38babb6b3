"""MoCo V2+: contrast each view with a slowly moving copy's view and queues of past ones.

He et al. 2020, 1911.05722 (MoCo); Chen et al. 2020, 2003.04297 (V2); the plus is a loss in both directions, with a
queue per view.
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


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Return InfoNCE, Eq. 1 of the MoCo paper, averaged over the N queries.

    ``query``, ``key`` (N, D), unit rows; ``queue`` (D, K), unit columns. The loss of query q with its key k is
    -log of exp(q k / temperature) over the sum of it and exp(q c / temperature) for every column c of the queue.
    """
    positive = (query * key).sum(dim=1, keepdim=True)
    scores = torch.cat([positive, query @ queue], dim=1) / temperature
    return F.cross_entropy(scores, torch.zeros(len(query), dtype=torch.long, device=query.device))


class MoCoV2PlusSettings(Options):
    """Hyper-parameters of MoCo V2+."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    temperature: float = Field(0.1, gt=0, description="temperature of the contrastive loss")
    queue_size: int = Field(65536, gt=0, description="negatives kept per view")
    base_tau: float = Field(0.99, ge=0, le=1, description="momentum coefficient at the start of every task")
    final_tau: float = Field(1.0, ge=0, le=1, description="momentum coefficient at the end of every task")


@objectives.register("mocov2plus")
class MoCoV2Plus(Objective[MoCoV2PlusSettings]):
    """Momentum network and a queue of its projections per view; all of it carries over to the next task.

    ``queue`` (2, D, K): unit columns, queue v holds keys of view v; ``pointer`` (): the column written next.
    """

    title = "MoCoV2+"
    Settings = MoCoV2PlusSettings
    original_loss = "per_gpu"
    distillation = "contrastive"
    linear_lr = 3.0
    has_momentum = True

    queue: Tensor
    pointer: Tensor

    def __init__(self, settings: MoCoV2PlusSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        dim = settings.output_dim
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, dim], batchnorm=False)
        self.momentum = MomentumNetwork(backbone, self.projector)
        self.register_buffer("queue", F.normalize(torch.randn(2, dim, settings.queue_size), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.output_dim = dim

    def targets(self, views: list[Tensor]) -> list[Tensor]:
        """Return the momentum network's projections of the views."""
        return self.momentum(views)  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the mean of both directions; a view is contrasted with keys of the other view only."""
        q1, q2 = (F.normalize(z, dim=1) for z in outputs.z)
        k1, k2 = (F.normalize(target.detach(), dim=1) for target in outputs.targets)
        # a copy, as the queue moves before gradients are taken
        queue1, queue2 = self.queue.clone()
        temperature = self.settings.temperature
        return (moco_loss(q1, k2, queue2, temperature) + moco_loss(q2, k1, queue1, temperature)) / 2

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Overwrite the oldest columns of both queues; of a batch longer than the queue, its last rows stay."""
        keys = torch.stack([F.normalize(target, dim=1) for target in outputs.targets])
        push(self.queue, self.pointer, keys.mT, dim=2)

    def distillation_input(self, z: Tensor) -> Tensor:
        """Return unit rows, as the original release distils this objective's projections normalized."""
        return F.normalize(z, dim=1)

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Update the momentum network."""
        tau = momentum_tau(self.settings.base_tau, self.settings.final_tau, moment.step, moment.steps)
        self.momentum.follow(backbone, self.projector, tau)
