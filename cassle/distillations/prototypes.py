"""Distillation of prototype assignments, for SwAV (CaSSLe, 2112.04215, Table 1), DeepCluster-v2 and DINO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.nets.heads import Prototypes
from cassle.objectives.base import Objective


class Prototypical(Protocol):
    """The methods that an objective needs for this distillation.

    ``prototype_sizes``: number of prototypes of each head, K in total.
    """

    prototype_sizes: list[int]

    def new_prototypes(self) -> Prototypes:
        """Return K random prototypes of the kind the objective uses."""
        ...

    def prototype_scores(self, z: Tensor) -> Tensor:
        """Return the scores (B, K) of projections (B, D), as the objective's own loss turns them into targets."""
        ...


def prototypes_distillation_loss(
    scores: Sequence[Tensor],
    frozen: Sequence[Tensor],
    sizes: list[int],
    temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Return the mean over views, heads and images of -sum over k of t_k log s_k.

    ``scores`` and ``frozen``: (N, K) per view, K the sum of the heads' ``sizes``. Within each head,
    s = softmax(scores / temperature) and t = softmax(frozen / teacher_temperature).
    """
    losses = []
    for ours, theirs in zip(scores, frozen, strict=True):
        for s, t in zip(torch.split(ours, sizes, 1), torch.split(theirs, sizes, 1), strict=True):
            losses.append(F.cross_entropy(s / temperature, (t / teacher_temperature).softmax(dim=1)))
    return torch.stack(losses).mean()


class PrototypesSettings(DistillationSettings):
    """Settings of prototype distillation."""

    temperature: float = Field(0.1, gt=0, description="temperature of the predicted assignment")
    teacher_temperature: float | None = Field(
        None, gt=0, description="temperature of the teacher's assignment; null: that of the prediction"
    )


@distillations.register("prototypes")
class PrototypeAssignment(Distillation[PrototypesSettings]):
    """Predict the teacher's assignment of an image to the teacher's prototypes, from g(z) and prototypes of its own.

    It is each objective's own loss with the frozen model as the target network:

    * SwAV: the target is the softmax of frozen scores, as published. Sinkhorn, which keeps targets from all choosing
      one prototype, is not needed where targets cannot move.
    * DeepCluster-v2: the target is the soft assignment to the frozen model's last centroids, per head. Its own loss
      takes the nearest one, the limit for temperature 0. With nearly as many centroids as images the nearest one
      carries little information; the soft assignment also has the similarity to the others.
    * DINO: the target is the softmax of the frozen scores less the center saved with them, Eq. 1 and 4 of the paper.
      The center is still needed: without it what all images have in common decides the target.
    """

    Settings = PrototypesSettings
    fits_features = False

    def __init__(self, settings: PrototypesSettings, dim: int, objective: Objective) -> None:
        super().__init__(settings, dim, objective)
        self.prototypes = cast(Prototypical, objective).new_prototypes()

    @classmethod
    def incompatibility(cls, objective: type[Objective]) -> str | None:
        """Return a reason for objectives without prototypes."""
        fits = hasattr(objective, "prototype_scores") and hasattr(objective, "new_prototypes")
        return None if fits else "it has no prototypes that images could be assigned to"

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `prototypes_distillation_loss`."""
        hp, theirs = self.settings, cast(Prototypical, teacher)
        scores = [self.prototypes(F.normalize(view, dim=1)) for view in p]
        targets = [theirs.prototype_scores(view) for view in frozen]
        teacher_temperature = hp.temperature if hp.teacher_temperature is None else hp.teacher_temperature
        return prototypes_distillation_loss(
            scores, targets, theirs.prototype_sizes, hp.temperature, teacher_temperature
        )
