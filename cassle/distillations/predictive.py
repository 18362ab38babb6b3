"""Predictive distillation, for BYOL and SimSiam (CaSSLe, 2112.04215, Table 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from cassle.distillations.base import Distillation, distillations
from cassle.objectives.base import Group, Objective
from cassle.objectives.byol import byol_loss


def predictive_distillation_loss(p: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return the mean over views of 2 - 2 cos(p, frozen), (N, D) each; an average, unlike BYOL's own sum."""
    return torch.stack([byol_loss(ours, theirs) for ours, theirs in zip(p, frozen, strict=True)]).mean()


@distillations.register("predictive")
class Predictive(Distillation):
    """Cosine distance between g(z) and the frozen projections."""

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `predictive_distillation_loss`."""
        return predictive_distillation_loss(p, frozen)

    def groups(self, weight: float) -> list[Group]:
        """Return the predictor's parameters; a weight below 1 raises their learning rate to make up for it."""
        scale = 1 / weight if 0 < weight < 1 else 1.0
        return [Group(g.name, g.parameters, lr_scale=scale) for g in super().groups(weight)]
