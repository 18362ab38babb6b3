"""DINO: predict a slowly moving copy's sharpened, centered output for the other view (arXiv 2104.14294)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.ema import momentum_tau
from cassle.nets.heads import Prototypes
from cassle.nets.momentum import MomentumNetwork
from cassle.objectives.base import Moment, Objective, objectives
from cassle.objectives.swav import swav_loss
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def dino_loss(
    scores: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor,
    temperature: float,
    target_temperature: float,
) -> Tensor:
    """Return Eq. 2 of the paper, averaged over ordered pairs of views; no gradient reaches ``targets``.

    ``scores`` (N, K) per view, ``targets`` (N, K) for the first of them, ``center`` (K,). For each target view i and
    each view j other than i: the mean over images of -sum over k of t_i log softmax(s_j / temperature), with
    t = softmax((target - center) / target_temperature).
    """
    wanted = [((target.detach() - center) / target_temperature).softmax(dim=1) for target in targets]
    return swav_loss(scores, wanted, temperature)


def target_temperature(start: float, final: float, warmup_epochs: int, epoch: int) -> float:
    """Return the target temperature of an epoch: linear from ``start`` in epoch 0 to ``final`` in the last of warm-up.

    >>> [round(target_temperature(0.04, 0.07, 4, epoch), 3) for epoch in range(6)]
    [0.04, 0.05, 0.06, 0.07, 0.07, 0.07]
    """
    if epoch >= warmup_epochs:
        return final
    return start + (final - start) * epoch / max(warmup_epochs - 1, 1)


class DINOSettings(Options):
    """Hyper-parameters of DINO."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's two hidden layers")
    output_dim: int = Field(256, gt=0, description="size of the projection z, the head's bottleneck")
    num_prototypes: int = Field(4096, gt=0, description="outputs of the last layer")
    batchnorm: bool = Field(True, description="BatchNorm in the projector; the paper's transformers have none at all")
    temperature: float = Field(0.1, gt=0, description="temperature of the prediction")
    target_temperature: float = Field(0.07, gt=0, description="temperature of the target after warm-up")
    warmup_target_temperature: float = Field(0.04, gt=0, description="temperature of the target in a task's epoch 0")
    warmup_target_temperature_epochs: int = Field(50, ge=0, description="epochs of a task that warm-up takes")
    center_momentum: float = Field(0.9, ge=0, le=1, description="weight of the old center, per step")
    freeze_last_layer_epochs: int = Field(1, ge=0, description="first epochs of a task in which the last layer stays")
    base_tau: float = Field(0.99, ge=0, le=1, description="momentum coefficient at the start of every task")
    final_tau: float = Field(1.0, ge=0, le=1, description="momentum coefficient at the end of every task")


class UnitRows(nn.Module):
    """Divides rows (B, D) by their length."""

    def forward(self, x: Tensor) -> Tensor:
        """Return unit rows."""
        return F.normalize(x, dim=1)


@objectives.register("dino")
class DINO(Objective[DINOSettings]):
    """A last layer of unit prototypes on normalized projections, and a momentum network that has one too.

    ``center`` (K,): running mean of the momentum network's scores. All of it carries over to the next task; the
    schedules of temperature and momentum coefficient restart, and the last layer is frozen again.
    """

    title = "DINO"
    Settings = DINOSettings
    distillation = "prototypes"
    many_views = True
    has_momentum = True

    center: Tensor

    def __init__(self, settings: DINOSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        width, self.output_dim = settings.hidden_dim, settings.output_dim
        self.prototype_sizes = [settings.num_prototypes]
        hidden: list[nn.Module] = []
        for before in (backbone.feature_dim, width):
            hidden += [nn.Linear(before, width), *([nn.BatchNorm1d(width)] if settings.batchnorm else []), nn.GELU()]
        self.projector = nn.Sequential(*hidden, nn.Linear(width, self.output_dim))
        self.prototypes = self.new_prototypes()
        self.momentum = MomentumNetwork(backbone, self.head())
        self.register_buffer("center", torch.zeros(settings.num_prototypes))
        self.target_temperature: float = settings.target_temperature

    def new_prototypes(self) -> Prototypes:
        """Return a random last layer."""
        return Prototypes(self.output_dim, sum(self.prototype_sizes))

    def head(self) -> nn.Sequential:
        """Return projector and last layer as one module from features to scores."""
        return nn.Sequential(self.projector, UnitRows(), self.prototypes)

    def use_momentum_network(self) -> Backbone:
        """Take the momentum network's projector and last layer, which are one module there."""
        projector, _, prototypes = cast(nn.Sequential, self.momentum.projector)
        self.projector, self.prototypes = projector, cast(Prototypes, prototypes)
        return self.momentum.backbone

    def prototype_scores(self, z: Tensor) -> Tensor:
        """Return the centered scores (B, K) of projections (B, D)."""
        return self.prototypes(F.normalize(z, dim=1)) - self.center  # type: ignore[no-any-return]

    def predict(self, z: Tensor) -> Tensor:
        """Return the scores of a projection, not centered."""
        return self.prototypes(F.normalize(z, dim=1))  # type: ignore[no-any-return]

    def targets(self, views: list[Tensor]) -> list[Tensor]:
        """Return the momentum network's scores of the first two views."""
        return self.momentum(views[:2])  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the mean over pairs of a target view and another view; the center is that of the steps before."""
        temperature = self.settings.temperature
        return dino_loss(outputs.p, outputs.targets, self.center, temperature, self.target_temperature)

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Move the center towards the mean of the batch's targets (Eq. 4 of the paper)."""
        mean = torch.cat(outputs.targets).to(self.center.dtype).mean(dim=0)
        self.center.lerp_(mean, 1 - self.settings.center_momentum)

    def begin_epoch(self, moment: Moment) -> None:
        """Set the temperature of the targets."""
        hp = self.settings
        self.target_temperature = target_temperature(
            hp.warmup_target_temperature, hp.target_temperature, hp.warmup_target_temperature_epochs, moment.epoch
        )

    def after_backward(self, moment: Moment) -> None:
        """Discard the gradients of the last layer in the first epochs; weight decay and momentum pass it by, too."""
        if moment.epoch < self.settings.freeze_last_layer_epochs:
            for parameter in self.prototypes.parameters():
                parameter.grad = None

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Update the momentum network."""
        tau = momentum_tau(self.settings.base_tau, self.settings.final_tau, moment.step, moment.steps)
        self.momentum.follow(backbone, self.head(), tau)
