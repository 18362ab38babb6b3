"""Less-forget: features keep the direction that they had (Hou et al. 2019, LUCIR, CVPR 2019).

L = L_SSL + lambda sqrt(t) * mean over views v and images x of 1 - cos(f_t(x_v), f_{t-1}(x_v))

f are the features of the backbone. The authors grow lambda with sqrt(old classes / new classes); with tasks of one size
this is sqrt(t), t the number of past tasks. LUCIR's cosine classifier and margin loss need labels and are left out.
Defaults: lambda 5 and the growth are those of the authors' release for CIFAR-100. The paper is on no preprint server:
Hou, Pan, Loy, Wang & Lin, Learning a Unified Classifier Incrementally via Rebalancing, CVPR 2019.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.strategies.base import TeacherSettings, TeacherStrategy, strategies
from cassle.strategies.context import Step


def less_forget_loss(features: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return the mean over views and rows of 1 - cos(features, frozen), (N, F) each."""
    pairs = zip(features, frozen, strict=True)
    return torch.stack([1 - F.cosine_similarity(ours, theirs, dim=1).mean() for ours, theirs in pairs]).mean()


class LessForgetSettings(TeacherSettings):
    """Settings of less-forget."""

    weight: float = Field(5.0, ge=0, description="lambda in the second task")
    adaptive: bool = Field(True, description="whether lambda grows with the square root of the number of past tasks")


@strategies.register("less_forget")
class LessForget(TeacherStrategy[LessForgetSettings]):
    """Cosine distance between old and new features; the predictor-free sister of PFR."""

    title = "Less-Forget"
    Settings = LessForgetSettings

    def penalty(self, step: Step) -> Tensor | None:
        """Return lambda times the distance; None in the first task."""
        if step.teacher is None:
            return None
        growth = math.sqrt(step.batch.task) if self.settings.adaptive else 1.0
        loss = less_forget_loss(step.student_outputs.features, step.teacher_outputs.features)
        return self.settings.weight * growth * loss
