"""Distillation of logits, for supervised training (Li & Hoiem 2016, 1606.09282; Hinton et al. 2015, 1503.02531)."""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.objectives.base import Objective


class Classifies(Protocol):
    """An objective with a classifier of its own, such as supervised training."""

    def classify(self, z: Tensor) -> Tensor:
        """Return the logits (B, C) of projections (B, D)."""
        ...


def logit_distillation_loss(ours: list[Tensor], theirs: list[Tensor], temperature: float) -> Tensor:
    """Return the mean over views of temperature^2 times the cross-entropy of class probabilities.

    ``ours``, ``theirs``: one (N, C) tensor of logits per view each. With q = softmax(logits / temperature), the
    cross-entropy of a row is -sum over c of q(theirs)[c] log q(ours)[c]; the square keeps the size of its gradient
    (Hinton et al., Section 2). No gradient reaches ``theirs``.
    """
    losses = [
        F.cross_entropy(mine / temperature, (other.detach() / temperature).softmax(dim=1))
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return temperature**2 * torch.stack(losses).mean()


class LogitsSettings(DistillationSettings):
    """Settings of the distillation of logits."""

    temperature: float = Field(2.0, gt=0, description="temperature of both sides' class probabilities")


@distillations.register("logits")
class Logits(Distillation[LogitsSettings]):
    """Cross-entropy between the class probabilities of g(z) and of the frozen projections under the frozen classifier.

    It is the objective's own loss with the frozen model's output as the label. Both sides go through the
    frozen classifier: g(z) predicts the old z, and the student's own classifier stays free to learn the new classes.
    """

    Settings = LogitsSettings
    fits_features = False

    @classmethod
    def incompatibility(cls, objective: type[Objective]) -> str | None:
        """Refuse objectives without a classifier of their own."""
        return None if hasattr(objective, "classify") else "it has no classifier of its own"

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `logit_distillation_loss` of the teacher's classifier on both sides."""
        classify = cast(Classifies, teacher).classify
        return logit_distillation_loss(
            [classify(z) for z in p], [classify(z) for z in frozen], self.settings.temperature
        )
