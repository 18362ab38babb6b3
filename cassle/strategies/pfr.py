"""PFR: old features stay predictable from new ones (Gomez-Villa et al. 2022, 2112.15022).

L = L_SSL - lambda * mean over views v and images x of cos(m(f_t(x_v)), f_{t-1}(x_v))

f are the features of the backbone and m = Linear(F, H) - BatchNorm - ReLU - Linear(H, F), the first map without a bias,
is learned and carried along. It is CaSSLe with the cosine form on features instead of projections. Defaults: H 256 for
the 512 features of ResNet-18 and lambda 1, as in the authors' release.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.models.model import Model
from cassle.nets.heads import mlp
from cassle.objectives.base import Group
from cassle.strategies.base import TeacherSettings, TeacherStrategy, strategies
from cassle.strategies.context import Step


def pfr_loss(predicted: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return the mean over views and rows of -cos(predicted, frozen), (N, F) each."""
    pairs = zip(predicted, frozen, strict=True)
    return torch.stack([-F.cosine_similarity(ours, theirs, dim=1).mean() for ours, theirs in pairs]).mean()


class PFRSettings(TeacherSettings):
    """Settings of PFR."""

    weight: float = Field(1.0, ge=0, description="lambda, weight of the cosine")
    hidden_dim: int = Field(256, gt=0, description="width of the hidden layer of m")


@strategies.register("pfr")
class PFR(TeacherStrategy[PFRSettings]):
    """Negative cosine between m(features) and old features."""

    title = "PFR"
    Settings = PFRSettings

    def __init__(self, settings: PFRSettings, model: Model) -> None:
        super().__init__(settings, model)
        dim = model.backbone.feature_dim
        self.predictor = mlp([dim, settings.hidden_dim, dim], bias=False)

    def penalty(self, step: Step) -> Tensor | None:
        """Return lambda times the negative cosine; None in the first task."""
        if step.teacher is None:
            return None
        predicted = [self.predictor(view) for view in step.student_outputs.features]
        return self.settings.weight * pfr_loss(predicted, step.teacher_outputs.features)

    def groups(self) -> list[Group]:
        """Return the parameters of m."""
        return [Group("pfr", list(self.predictor.parameters()))]
