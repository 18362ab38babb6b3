"""The network that is trained, and the frozen copy that teaches it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cassle.nets.base import Backbone
from cassle.objectives.base import Objective
from cassle.training.step import Outputs

TeacherBatchNorm = Literal["frozen", "batch"]
TeacherNetwork = Literal["online", "momentum"]


class Model(nn.Module):
    """Backbone, the objective's heads and state, and the online classifier on detached features.

    Everything here is carried from task to task and fills the ``model`` room of a checkpoint.
    """

    def __init__(self, backbone: Backbone, objective: Objective, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective
        self.classifier = nn.Linear(backbone.feature_dim, num_classes)

    def forward(self, views: list[Tensor], maps: bool = False) -> Outputs:
        """Return the outputs for views (B, 3, S, S), one pass per view in their order."""
        return self.objective(self.backbone, views, maps=maps)  # type: ignore[no-any-return]


class Teacher(nn.Module):
    """The model of the previous task, frozen for the whole task at hand.

    ``batchnorm`` ``frozen`` normalises with the statistics the model was saved with; ``batch`` normalises with those
    of the batch and lets the running ones drift, as the original release does. ``network`` ``momentum`` takes the
    objective's momentum network in the place of the trained one. ``model`` is taken over.
    """

    def __init__(
        self, model: Model, batchnorm: TeacherBatchNorm = "frozen", network: TeacherNetwork = "online"
    ) -> None:
        super().__init__()
        self.backbone = model.objective.take_momentum() if network == "momentum" else model.backbone
        self.objective = model.objective
        self.batchnorm = batchnorm
        self.requires_grad_(False)
        self.train(batchnorm == "batch")

    def train(self, mode: bool = True) -> Teacher:
        """Keep the mode the teacher was made with."""
        return super().train(self.batchnorm == "batch")

    @torch.no_grad()
    def forward(self, views: list[Tensor]) -> Outputs:
        """Return features, stage maps and projections of the views; heads beyond the projector are not run."""
        maps, features = zip(*(self.backbone.stages(view) for view in views), strict=True)
        return Outputs(list(features), [self.objective.project(f) for f in features], maps=list(maps))
