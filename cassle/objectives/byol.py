"""BYOL: predict a slowly moving copy's projection of the other view (Grill et al. 2020, 2006.07733)."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.ema import momentum_tau
from cassle.nets.heads import mlp
from cassle.nets.momentum import MomentumNetwork
from cassle.objectives.base import Moment, Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def byol_loss(p: Tensor, target: Tensor) -> Tensor:
    """Return Eq. 2 of the paper, mean of 2 - 2 cos(p, target) over rows (N, D); no gradient reaches ``target``."""
    return 2 - 2 * F.cosine_similarity(p, target.detach(), dim=1).mean()


class BYOLSettings(Options):
    """Hyper-parameters of BYOL."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(256, gt=0, description="size of the projection z")
    pred_hidden_dim: int = Field(512, gt=0, description="width of the predictor's hidden layer")
    base_tau: float = Field(0.99, ge=0, le=1, description="momentum coefficient at the start of every task")
    final_tau: float = Field(1.0, ge=0, le=1, description="momentum coefficient at the end of every task")


@objectives.register("byol")
class BYOL(Objective[BYOLSettings]):
    """A predictor on the projector, and a momentum network; all of it carries over to the next task.

    The loss is a sum over the two directions, whereas its distillation is an average: lambda = 1 is not equal weight.
    """

    title = "BYOL"
    Settings = BYOLSettings
    distillation = "predictive"
    linear_lr = 3.0
    has_momentum = True

    def __init__(self, settings: BYOLSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        dim = settings.output_dim
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, dim])
        self.predictor = mlp([dim, settings.pred_hidden_dim, dim])
        self.momentum = MomentumNetwork(backbone, self.projector)
        self.output_dim = dim

    def predict(self, z: Tensor) -> Tensor:
        """Return the prediction of a projection."""
        return self.predictor(z)  # type: ignore[no-any-return]

    def targets(self, views: list[Tensor]) -> list[Tensor]:
        """Return the momentum network's projections of the views."""
        return self.momentum(views)  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the sum of both directions."""
        (p1, p2), (m1, m2) = outputs.p, outputs.targets
        return byol_loss(p1, m2) + byol_loss(p2, m1)

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Update the momentum network."""
        tau = momentum_tau(self.settings.base_tau, self.settings.final_tau, moment.step, moment.steps)
        self.momentum.follow(backbone, self.projector, tau)
