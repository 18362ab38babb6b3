"""The training step: plain torch, the same with and without a trainer around it.

Reading order is that of the method (CaSSLe, arXiv 2112.04215, Section 4): draw views, pass them through the
network, add the strategy's penalty to the objective's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from cassle.strategies.base import Strategy
    from cassle.training.model import Model, Teacher


@dataclass(frozen=True)
class Batch:
    """Images of one optimiser step and all that is random about it.

    ``index`` (B,) int64 positions in the training split; ``images`` (B, 3, H, W) uint8; ``labels`` (B,) int64,
    read only by objectives that say they are supervised; ``is_replay`` (B,) bool, true where a strategy added the
    row; ``generator`` belongs to this (seed, task, epoch, step) alone and lives on the images' device.
    """

    index: Tensor
    images: Tensor
    labels: Tensor
    task: int
    is_replay: Tensor
    generator: torch.Generator

    def with_rows(self, index: Tensor, images: Tensor, labels: Tensor) -> Batch:
        """Return this batch with replayed rows behind its own."""
        replayed = torch.ones(len(index), dtype=torch.bool, device=self.is_replay.device)
        return replace(
            self,
            index=torch.cat([self.index, index]),
            images=torch.cat([self.images, images]),
            labels=torch.cat([self.labels, labels]),
            is_replay=torch.cat([self.is_replay, replayed]),
        )


@dataclass(frozen=True)
class Outputs:
    """What the network makes of the views; every list has one tensor per view.

    ``features`` (B, F) of the backbone; ``z`` (B, D) of the projector, before any normalisation; ``p`` what the
    objective puts on top (predictions or prototype scores), if it does; ``targets`` outputs of a momentum network,
    without gradient, if there is one; ``maps`` one list of (B, C, H, W) stage outputs per view, only if a strategy
    asked for them.
    """

    features: list[Tensor]
    z: list[Tensor]
    p: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    maps: list[list[Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """What a strategy sees of the step at hand; the teacher runs at most once, when first asked for."""

    batch: Batch
    views: list[Tensor]
    model: Model
    outputs: Outputs
    teacher: Teacher | None

    @cached_property
    def teacher_outputs(self) -> Outputs:
        """Outputs of the frozen previous model for the same views, without gradient."""
        if self.teacher is None:
            raise RuntimeError("this step has no teacher: the strategy did not ask for one, or this is the first task")
        return self.teacher(self.views)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Losses:
    """The scalars of one step; ``total`` is what gradients are taken of."""

    total: Tensor
    objective: Tensor
    penalty: Tensor | None


def training_step(
    batch: Batch,
    draw_views: Callable[[Batch], list[Tensor]],
    model: Model,
    strategy: Strategy,
    teacher: Teacher | None,
) -> tuple[Losses, Step]:
    """Return the losses of one step (CaSSLe, Eq. 5: L = L_SSL + penalty) and what they were computed from."""
    batch = strategy.extend(batch)
    views = strategy.blend(draw_views(batch), batch)
    outputs = model(views, maps=strategy.uses_maps)
    step = Step(batch, views, model, outputs, teacher)
    objective = model.objective.loss(outputs, batch)
    penalty = strategy.penalty(step)
    with torch.no_grad():
        model.objective.after_loss(outputs, batch)
    total = objective if penalty is None else objective + penalty
    return Losses(total, objective.detach(), None if penalty is None else penalty.detach()), step
