"""The frozen copy of the previous model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cassle.models.model import Model
from cassle.tensors.outputs import Outputs

TeacherBatchNorm = Literal["frozen", "batch"]
TeacherNetwork = Literal["online", "momentum"]


class Teacher(nn.Module):
    """The model of the previous task, frozen during the current task.

    ``batchnorm`` ``frozen`` normalizes with the statistics the model was saved with; ``batch`` normalizes with those
    of the batch and lets the running ones drift, as the original release does. ``network`` ``momentum`` takes the
    objective's momentum network instead of the trained one. The teacher owns ``model``.
    """

    def __init__(
        self, model: Model, batchnorm: TeacherBatchNorm = "frozen", network: TeacherNetwork = "online"
    ) -> None:
        super().__init__()
        self.backbone = model.objective.use_momentum_network() if network == "momentum" else model.backbone
        self.objective = model.objective
        self.batchnorm = batchnorm
        self.requires_grad_(False)
        self.train(batchnorm == "batch")

    def train(self, mode: bool = True) -> Teacher:
        """Keep the mode of the constructor."""
        return super().train(self.batchnorm == "batch")

    @torch.no_grad()
    def forward(self, views: list[Tensor]) -> Outputs:
        """Return features, stage maps and projections of the views; heads beyond the projector are not run."""
        maps, features = zip(*(self.backbone.stages(view) for view in views), strict=True)
        return Outputs(list(features), [self.objective.project(f) for f in features], maps=list(maps))
