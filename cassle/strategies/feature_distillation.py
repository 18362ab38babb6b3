"""Feature distillation: features stay where they were, without a predictor (as compared with in 2112.15022).

L = L_SSL + lambda * mean over views v and images x of || f_t(x_v) - f_{t-1}(x_v) ||^2 / F

f are the F features of the backbone. Gomez-Villa et al. (2112.15022) call it naive functional regularization and show
that it costs plasticity; PFR is the same with a predictor, less-forget the same between directions. Default: lambda 1;
the paper's own is tuned per setting, and its release takes unsquared distances of whole batches, which depend on the
batch size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.strategies.base import TeacherSettings, TeacherStrategy, strategies
from cassle.strategies.context import Step


def feature_distillation_loss(features: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return the mean over views and all N F entries of (features - frozen)^2, (N, F) each."""
    pairs = zip(features, frozen, strict=True)
    return torch.stack([F.mse_loss(ours, theirs) for ours, theirs in pairs]).mean()


class FeatureDistillationSettings(TeacherSettings):
    """Settings of feature distillation."""

    weight: float = Field(1.0, ge=0, description="lambda, weight of the mean squared distance of features")


@strategies.register("feature_distillation")
class FeatureDistillation(TeacherStrategy[FeatureDistillationSettings]):
    """Mean squared distance between old and new features."""

    Settings = FeatureDistillationSettings

    def penalty(self, step: Step) -> Tensor | None:
        """Return lambda times the distance; None in the first task."""
        if step.teacher is None:
            return None
        loss = feature_distillation_loss(step.student_outputs.features, step.teacher_outputs.features)
        return self.settings.weight * loss
