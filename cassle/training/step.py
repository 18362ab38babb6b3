"""The training step: plain torch, the same with and without a trainer around it.

Reading order is that of the method (CaSSLe, arXiv 2112.04215, Section 4): draw views, pass them through the
network, add the strategy's penalty to the objective's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.strategies.base import Strategy
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch
from cassle.tensors.scope import LossGroup, Scope


@dataclass(frozen=True)
class Losses:
    """The scalars of one step; ``total`` is what gradients are taken of."""

    total: Tensor
    objective: Tensor
    penalty: Tensor | None


def views_of(batch: Batch, draw_views: Callable[[Batch], list[Tensor]]) -> list[Tensor]:
    """Return the views of a batch; those of own rows do not depend on what is replayed beside them."""
    if batch.views is not None:
        return batch.views
    if not batch.replayed:
        return draw_views(batch)
    own, replayed = batch.parts()
    return [torch.cat(pair) for pair in zip(draw_views(own), draw_views(replayed), strict=True)]


def objective_loss(step: Step) -> Tensor:
    """Return the objective's loss of the rows of all processes, the mean over groups."""
    objective, (outputs, batch) = step.model.objective, step.gathered
    if step.scope.group == "global":
        return objective.loss(outputs, batch)

    def loss(rows: slice) -> Tensor:
        facts = {key: getattr(batch, key)[rows] for key in ("index", "labels", "is_replay")}
        return objective.loss(outputs.rows(rows), replace(batch, **facts))

    return step.scope.mean(loss, len(batch.index))


def training_step(
    batch: Batch,
    draw_views: Callable[[Batch], list[Tensor]],
    model: Model,
    strategy: Strategy,
    teacher: Teacher | None,
    loss_group: LossGroup = "global",
) -> tuple[Losses, Step]:
    """Return the losses of one step (CaSSLe, Eq. 5: L = L_SSL + penalty) and what they were computed from.

    Networks run in the surrounding mixed precision, views and losses in single precision. Networks see the rows of
    this process (BatchNorm those of all), losses the rows of all processes in groups of ``loss_group``; queues and
    centers move once, by all rows.
    """
    kind = batch.generator.device.type  # images of a loader that draws views itself are not there
    # the teacher runs when a penalty first asks for it, in single precision by then
    mixed = torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
    with torch.autocast(kind, enabled=False):
        views, batch = strategy.mix_views(views_of(batch, draw_views), batch)
    outputs = model(views, maps=strategy.uses_maps).in_full()
    step = Step(batch, views, model, outputs, teacher, mixed, Scope(batch.shard, loss_group))
    with torch.autocast(kind, enabled=False):
        loss = objective_loss(step)
        penalty = strategy.penalty(step)
        with torch.no_grad():
            model.objective.after_loss(*step.gathered)
    total = loss if penalty is None else loss + penalty
    return Losses(total, loss.detach(), None if penalty is None else penalty.detach()), step
