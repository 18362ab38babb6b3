"""SimSiam: predict the other view's projection, with a stopped gradient in place of a momentum network.

Chen & He 2021, 2011.10566.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Group, Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def simsiam_loss(p: Tensor, z: Tensor) -> Tensor:
    """Return Eq. 1 of the paper, mean of -cos(p, z) over rows (N, D), from -1 to 1; no gradient reaches ``z``."""
    return -F.cosine_similarity(p, z.detach(), dim=1).mean()


class SimSiamSettings(Options):
    """Hyper-parameters of SimSiam."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's two hidden layers")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    pred_hidden_dim: int = Field(512, gt=0, description="width of the predictor's hidden layer")


@objectives.register("simsiam")
class SimSiam(Objective[SimSiamSettings]):
    """Predictor on top of a projector that ends in a BatchNorm; nothing to carry but weights."""

    title = "SimSiam"
    Settings = SimSiamSettings
    distillation = "predictive"
    linear_lr = 30.0

    def __init__(self, settings: SimSiamSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        width, dim = settings.hidden_dim, settings.output_dim
        layers = mlp([backbone.feature_dim, width, width, dim], bias=False)
        # the BatchNorm behind it takes any constant away
        layers[-1].bias.requires_grad_(False)
        self.projector = nn.Sequential(*layers, nn.BatchNorm1d(dim, affine=False))
        self.predictor = mlp([dim, settings.pred_hidden_dim, dim], bias=False)
        self.output_dim = dim

    def predict(self, z: Tensor) -> Tensor:
        """Return the prediction of a projection."""
        return self.predictor(z)  # type: ignore[no-any-return]

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the mean of both directions (Eq. 2 of the paper)."""
        (p1, p2), (z1, z2) = outputs.p, outputs.z
        return (simsiam_loss(p1, z2) + simsiam_loss(p2, z1)) / 2

    def groups(self) -> list[Group]:
        """Return projector and predictor; the predictor keeps its learning rate through the task (Section 4.2)."""
        trained = [p for p in self.projector.parameters() if p.requires_grad]
        predictor = list(self.predictor.parameters())
        return [Group("objective", trained), Group("predictor", predictor, scheduled=False)]
