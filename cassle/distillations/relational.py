"""Relational distillation, for ReSSL: keep the relations of images to the queue of the previous tasks."""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.objectives.base import Objective
from cassle.objectives.ressl import ressl_loss


class HasAnchors(Protocol):
    """An objective that stores projections, such as ReSSL and NNCLR."""

    @property
    def anchors(self) -> Tensor:
        """Unit rows (K, D)."""
        ...


def relational_distillation_loss(
    p: list[Tensor], frozen: list[Tensor], anchors: Tensor, temperature: float, teacher_temperature: float
) -> Tensor:
    """Return the mean over views of ReSSL's loss with the prediction as query and the frozen projection as key.

    ``p``, ``frozen``: one (N, D) tensor per view each, any scale; ``anchors`` (K, D) unit rows. With u unit rows and
    r(x, t) = softmax(u(x) anchors^T / t): -sum over m of r(frozen, teacher_temperature)[m] log r(p, temperature)[m],
    averaged over rows.
    """
    losses = [
        ressl_loss(F.normalize(ours, dim=1), F.normalize(theirs, dim=1), anchors, temperature, teacher_temperature)
        for ours, theirs in zip(p, frozen, strict=True)
    ]
    return torch.stack(losses).mean()


class RelationalSettings(DistillationSettings):
    """Settings of relational distillation."""

    temperature: float = Field(0.1, gt=0, description="temperature of the prediction's relation to the anchors")
    teacher_temperature: float = Field(0.04, gt=0, description="temperature of the frozen projection's relation")


@distillations.register("relational")
class Relational(Distillation[RelationalSettings]):
    """Cross-entropy between relations of g(z) and of the frozen projections to the frozen model's own queue.

    It is the objective's loss with the frozen model as the momentum network. The anchors are the queue as
    the previous task left it: projections of past images, in the space that g(z) predicts.
    """

    Settings = RelationalSettings
    fits_features = False

    @classmethod
    def incompatibility(cls, objective: type[Objective]) -> str | None:
        """Refuse objectives without anchors."""
        return None if hasattr(objective, "anchors") else "it offers no projections (anchors) to relate images to"

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `relational_distillation_loss` with the teacher's anchors."""
        anchors = cast(HasAnchors, teacher).anchors
        own = self.settings
        return relational_distillation_loss(p, frozen, anchors, own.temperature, own.teacher_temperature)
