"""The network that is trained."""

from __future__ import annotations

from torch import Tensor, nn

from cassle.nets.base import Backbone
from cassle.objectives.base import Objective
from cassle.tensors.outputs import Outputs


class Model(nn.Module):
    """Backbone, the objective's heads and state, and the online classifier on detached features.

    Everything here is carried from task to task and is the ``model`` part of a checkpoint.
    """

    def __init__(self, backbone: Backbone, objective: Objective, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective
        self.classifier = nn.Linear(backbone.feature_dim, num_classes)

    def forward(self, views: list[Tensor], maps: bool = False) -> Outputs:
        """Return the outputs for views (B, 3, S, S), one pass per view in their order."""
        return self.objective(self.backbone, views, maps=maps)  # type: ignore[no-any-return]
