"""Decorrelative distillation, for Barlow Twins (CaSSLe, 2112.04215, Table 1)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.objectives.barlow_twins import barlow_loss
from cassle.objectives.base import Objective


def decorrelative_distillation_loss(p: list[Tensor], frozen: list[Tensor], lamb: float, scale_loss: float) -> Tensor:
    """Return the mean over views of the Barlow Twins loss between predictions and frozen projections, (N, D) each."""
    losses = [barlow_loss(ours, theirs, lamb, scale_loss) for ours, theirs in zip(p, frozen, strict=True)]
    return torch.stack(losses).mean()


class DecorrelativeSettings(DistillationSettings):
    """Settings of decorrelative distillation."""

    lamb: float = Field(5e-3, ge=0, description="weight of the off-diagonal terms")
    scale_loss: float = Field(0.1, gt=0, description="factor on the whole loss")


@distillations.register("decorrelative")
class Decorrelative(Distillation[DecorrelativeSettings]):
    """Barlow Twins between g(z) and the frozen projections."""

    Settings = DecorrelativeSettings

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `decorrelative_distillation_loss`."""
        return decorrelative_distillation_loss(p, frozen, self.settings.lamb, self.settings.scale_loss)
