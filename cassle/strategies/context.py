"""The current step, as a strategy gets it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs
from cassle.tensors.scope import Scope


@dataclass(frozen=True)
class Step:
    """The current step, as a strategy gets it; the teacher runs at most once, at the first use of its outputs.

    ``batch``, ``views`` and ``outputs`` have the rows of this process. A penalty that is a mean over rows needs no
    more, as gradients are averaged over processes; a penalty that compares rows uses `gathered` and ``scope``.
    """

    batch: Batch
    views: list[Tensor]
    model: Model
    outputs: Outputs
    teacher: Teacher | None
    autocast: AbstractContextManager[Any] = field(default_factory=nullcontext)
    """The mixed precision that networks run in."""
    scope: Scope = field(default_factory=Scope)

    @cached_property
    def compared(self) -> list[int]:
        """Indices of the views that are compared with the teacher's: the largest ones.

        Small crops of multi-crop views are left out: they show too little of an image to be a target, and SwAV and
        DINO, which introduced them, use none as target either.
        """
        largest = max(view.numel() for view in self.views)
        return [place for place, view in enumerate(self.views) if view.numel() == largest]

    @cached_property
    def teacher_outputs(self) -> Outputs:
        """Outputs of the frozen previous model for the views that are compared, without gradient."""
        if self.teacher is None:
            raise RuntimeError("this step has no teacher: the strategy did not ask for one, or this is the first task")
        with self.autocast:
            outputs: Outputs = self.teacher([self.views[place] for place in self.compared])
        if not self.outputs.maps:  # unused, and the largest tensors of a step
            outputs = replace(outputs, maps=[])
        return outputs.in_full()

    @cached_property
    def student_outputs(self) -> Outputs:
        """Outputs of the model in training for the views that are compared, one to one with the teacher's."""
        return self.outputs.of_views(self.compared)

    @cached_property
    def gathered(self) -> tuple[Outputs, Batch]:
        """Outputs, with gradient, and batch with the rows of all processes; tensors that no loss reads are left out."""
        outputs, batch, shard = self.outputs, self.batch, self.batch.shard
        if shard is None or shard.size == 1:
            return outputs, batch
        features = outputs.features if self.model.objective.uses_features else []
        parts = (features, outputs.z, outputs.p, outputs.targets)
        rows = iter(shard.gather_many([x for part in parts for x in part]))
        features, z, p, targets = ([next(rows) for _ in part] for part in parts)
        facts = torch.stack([batch.index, batch.labels, batch.is_replay.long()], dim=1)
        index, labels, is_replay = shard.gather(facts).T.contiguous().unbind()
        whole = replace(batch, index=index, labels=labels, is_replay=is_replay.bool(), images=None, views=None)
        return Outputs(features, z, p, targets), replace(whole, shard=None)
