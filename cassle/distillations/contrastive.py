"""Contrastive distillation, for SimCLR, MoCo V2+ and SupCon (CaSSLe, 2112.04215, Table 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.objectives.base import Objective


def contrastive_distillation_loss(p: list[Tensor], frozen: list[Tensor], temperature: float) -> Tensor:
    """Return InfoNCE between all predictions and all frozen projections, both directions averaged.

    One (N, D) tensor per view on each side, any scale. The positive of a row is the same view of the same image on
    the other side; every column counts in the denominator, other views of the same image included.
    """
    student, teacher = F.normalize(torch.cat(p), dim=1), F.normalize(torch.cat(frozen), dim=1)
    scores = student @ teacher.T / temperature
    positives = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, positives) + F.cross_entropy(scores.T, positives)) / 2


class ContrastiveSettings(DistillationSettings):
    """Settings of contrastive distillation."""

    temperature: float = Field(0.2, gt=0, description="temperature of the distillation's InfoNCE")


@distillations.register("contrastive")
class Contrastive(Distillation[ContrastiveSettings]):
    """InfoNCE between g(z) and the frozen projections."""

    Settings = ContrastiveSettings

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `contrastive_distillation_loss`."""
        return contrastive_distillation_loss(p, frozen, self.settings.temperature)
