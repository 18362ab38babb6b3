"""Dark experience replay: what the network once made of an image is matched (Buzzega et al. 2020, 2004.07211).

L = L_SSL(batch) + alpha * mean over replayed images x and views v of || f(x_v) - o(x) ||^2 / F

o(x) is the output of the unaugmented image under the model of the task that x belongs to, stored when that task ended.
Supervised DER matches logits. Without labels their place is taken by the F features of the backbone, as in the release
of Madaan et al. (2110.06976), or by the projections. Replayed images pass through the network as a batch of their own,
BatchNorm included, and are no part of the objective's loss.

Defaults: alpha 0.3 and a replayed batch as large as the own one are what the authors' release has for Split CIFAR-10 at
every size of the buffer: 200, 500 and 5120, of which 500 is taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.models.model import Model
from cassle.strategies.base import Memory, MemoryCost, TaskEnd, strategies
from cassle.strategies.buffers import ReplaySettings, ReplayStrategy
from cassle.strategies.context import Step
from cassle.tensors.batch import Aside, Batch
from cassle.tensors.outputs import full


def der_loss(outputs: list[Tensor], stored: Tensor) -> Tensor:
    """Return the mean over views of the mean squared error between outputs (R, F) and stored ones (R, F)."""
    return torch.stack([F.mse_loss(view, stored) for view in outputs]).mean()


class DERSettings(ReplaySettings):
    """Settings of DER."""

    weight: float = Field(0.3, ge=0, description="alpha, weight of the stored outputs; nothing is replayed at 0")
    output: Literal["features", "projections"] = Field("features", description="what is stored and matched")


@strategies.register("der")
class DarkExperienceReplay(ReplayStrategy[DERSettings]):
    """Memory: that of a buffer and ``outputs`` (m, F), float32, one row per kept image."""

    title = "DER"
    Settings = DERSettings

    outputs: Tensor

    def __init__(self, settings: DERSettings, model: Model) -> None:
        super().__init__(settings, model)
        features = settings.output == "features"
        self.width = model.backbone.feature_dim if features else model.objective.output_dim
        self.register_buffer("outputs", torch.empty(0, 0), persistent=False)

    @torch.no_grad()
    def build_memory(self, end: TaskEnd, previous: Memory) -> Memory:
        """Return the buffer with the outputs of its new images; old images keep what was stored for them."""
        kept = super().build_memory(end, {key: value for key, value in previous.items() if key != "outputs"})
        features = end.clean_features(kept["positions"][kept["tasks"] == end.task])
        if self.settings.output == "projections":
            features = end.model.objective.eval().project(features)
        outputs = torch.empty(len(kept["positions"]), features.shape[1])
        outputs[kept["tasks"] == end.task] = features.float().cpu()
        if previous:
            old = kept["tasks"] != end.task
            outputs[old] = previous["outputs"][torch.searchsorted(previous["positions"], kept["positions"][old])]
        order = kept["positions"].argsort()
        return {key: value[order] for key, value in {**kept, "outputs": outputs}.items()}

    def memory_cost(self, images: int, batch_size: int) -> MemoryCost:
        """Return the cost of the buffer and of the outputs of its images."""
        kept = self.settings.buffer_size
        outputs = MemoryCost(forward=min(kept, images), bytes=kept * 4 * self.width)
        return super().memory_cost(images, batch_size) + outputs

    def load_memory(self, memory: Memory) -> None:
        """Load the sample indices, ascending, and the outputs."""
        super().load_memory(memory)
        self.outputs = memory["outputs"]

    def replay(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return positions drawn without repetition, none where their weight is 0."""
        return super().replay(count, generator) if self.settings.weight > 0 else None

    def mix_views(self, views: list[Tensor], batch: Batch) -> tuple[list[Tensor], Batch]:
        """Keep replayed rows from the objective."""
        if not batch.replayed:
            return views, batch
        own, replayed = batch.parts()
        count = len(own.index)
        aside = Aside(replayed.index, [view[count:] for view in views])
        return [view[:count] for view in views], replace(own, aside=aside)

    def penalty(self, step: Step) -> Tensor | None:
        """Return alpha times the distance to the stored outputs."""
        aside = step.batch.aside
        if aside is None:
            return None
        stored = self.outputs[torch.searchsorted(self.positions, aside.index)]
        with step.autocast:
            outputs = [full(self._output(step.model, view)) for view in aside.views]
        return self.settings.weight * der_loss(outputs, stored)

    def _output(self, model: Model, view: Tensor) -> Tensor:
        features: Tensor = model.backbone(view)
        return features if self.settings.output == "features" else model.objective.project(features)
