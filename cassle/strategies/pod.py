"""POD: pooled maps of every stage, and the features, stay near the old ones (Douillard et al. 2020, 2004.13513).

L = L_SSL + sqrt(t + 1) * ( lambda_c * mean over stages of POD-spatial + lambda_f * POD-flat )

A stage's map h (C, H, W) is squared entry by entry, its sums over columns (C, H) and over rows (C, W) are laid end to
end and scaled to length 1; POD-spatial is the distance between the old and the new of these vectors, averaged over
images. POD-flat is 1 - cos between old and new features. Both are averaged over views. This is how the authors'
release computes them. It scales with sqrt(seen classes / new classes), which is sqrt(t + 1) for tasks of one size.

Defaults: lambda_c 3, lambda_f 1 and the growth are those of the release for CIFAR-100.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor

from cassle.models.model import Model
from cassle.settings.recipe import Training
from cassle.strategies.base import TeacherSettings, TeacherStrategy, strategies
from cassle.strategies.context import Step
from cassle.strategies.less_forget import less_forget_loss


def pooled(maps: Tensor) -> Tensor:
    """Return the sums over columns and over rows of squared maps (N, C, H, W), as unit vectors (N, C (H + W))."""
    squared = maps.square()
    return F.normalize(torch.cat([squared.sum(dim=3).flatten(1), squared.sum(dim=2).flatten(1)], dim=1), dim=1)


def pod_spatial_loss(maps: list[list[Tensor]], frozen: list[list[Tensor]]) -> Tensor:
    """Return the mean over views, stages and images of the distance between pooled maps.

    One list per view of (N, C, H, W) maps, one per stage, on each side.
    """
    pairs = [pair for ours, theirs in zip(maps, frozen, strict=True) for pair in zip(ours, theirs, strict=True)]
    return torch.stack([distance(pooled(ours), pooled(theirs)).mean() for ours, theirs in pairs]).mean()


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the Euclidean distance (N,) of rows (N, D); its gradient is 0 where they are equal."""
    squared = (a - b).square().sum(dim=1)
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


class PODSettings(TeacherSettings):
    """Settings of POD."""

    spatial_weight: float = Field(3.0, ge=0, description="lambda_c, weight of the pooled maps")
    flat_weight: float = Field(1.0, ge=0, description="lambda_f, weight of the features")
    stages: list[NonNegativeInt] | None = Field(
        None, min_length=1, description="stages of the backbone, from 0, whose maps are compared; null: all"
    )
    adaptive: bool = Field(True, description="whether both weights grow with the square root of the tasks seen")


@strategies.register("pod")
class POD(TeacherStrategy[PODSettings]):
    """Distances of pooled maps and of features to those of the previous model."""

    title = "POD"
    Settings = PODSettings
    uses_maps = True

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return a reason if the backbone lacks one of the stages."""
        size = training.views[0].size
        last = len(model.backbone.stages(torch.empty(2, 3, size, size))[0]) - 1
        missing = [stage for stage in self.settings.stages or [] if stage > last]
        return f"there is no stage {missing[0]}: those of the backbone are 0 to {last}" if missing else None

    def penalty(self, step: Step) -> Tensor | None:
        """Return both distances, weighted; None in the first task."""
        if step.teacher is None:
            return None
        hp, ours, theirs = self.settings, step.student_outputs, step.teacher_outputs
        spatial = pod_spatial_loss(self._chosen(ours.maps), self._chosen(theirs.maps))
        flat = less_forget_loss(ours.features, theirs.features)
        growth = math.sqrt(step.batch.task + 1) if hp.adaptive else 1.0
        return growth * (hp.spatial_weight * spatial + hp.flat_weight * flat)  # type: ignore[no-any-return]

    def _chosen(self, maps: list[list[Tensor]]) -> list[list[Tensor]]:
        chosen = self.settings.stages
        return maps if chosen is None else [[view[stage] for stage in chosen] for view in maps]
