"""Supervised training: cross-entropy with labels, for comparison with self-supervised objectives.

With ``projector: mlp`` it follows the supervised model of Marczak et al. 2023 (2311.13321), who found that a projector
between backbone and classifier, thrown away afterwards, makes supervised features last in continual training. Their
code has a projector and a classifier per task; here both are carried on, like every objective's.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def supervised_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Return the mean over views of -log softmax(logits)[label], averaged over rows.

    ``logits``: one (N, C) tensor per view; ``labels`` (N,) int64 in 0..C-1.
    """
    return torch.stack([F.cross_entropy(view, labels) for view in logits]).mean()


class SupervisedSettings(Options):
    """Hyper-parameters of supervised training."""

    projector: Literal["none", "mlp"] = Field(
        "none", description="what lies between backbone and classifier: nothing, or Linear - BatchNorm - ReLU - Linear"
    )
    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer (mlp)")
    output_dim: int = Field(2048, gt=0, description="size of the projection z (mlp)")


@objectives.register("supervised")
class Supervised(Objective[SupervisedSettings]):
    """One linear classifier over the classes of all tasks, on the projection; nothing to carry but weights.

    It learns from the labels of the current task only. The online classifier is another one, which sees all tasks.
    """

    title = "Supervised"
    Settings = SupervisedSettings
    distillation = "logits"
    supervised = True
    many_views = True

    def __init__(self, settings: SupervisedSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        if settings.projector == "mlp":
            self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim])
            self.output_dim = settings.output_dim
        else:
            self.projector = nn.Identity()
            self.output_dim = backbone.feature_dim
        self.classifier = nn.Linear(self.output_dim, num_classes)

    def classify(self, z: Tensor) -> Tensor:
        """Return the logits (B, C) of projections (B, D)."""
        return self.classifier(z)  # type: ignore[no-any-return]

    def predict(self, z: Tensor) -> Tensor:
        """Return the logits of a projection."""
        return self.classify(z)

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the cross-entropy of all views with the batch's labels."""
        return supervised_loss(outputs.p, batch.labels)
