"""The training step: plain torch, the same with and without a trainer around it.

Reading order is that of the method (CaSSLe, arXiv 2112.04215, Section 4): draw views, pass them through the
network, add the strategy's penalty to the objective's loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from cassle.distributed import Share
from cassle.errors import SettingsError
from cassle.random import generator as generator_of

if TYPE_CHECKING:
    from cassle.strategies.base import Strategy
    from cassle.training.model import Model, Teacher


HALF = (torch.bfloat16, torch.float16)

LossGroup = Literal["global"] | int
"""Images a loss compares with each other: the whole global batch, or groups of so many."""


@dataclass(frozen=True)
class Aside:
    """Replayed rows that a strategy keeps from the objective: ``index`` (R,) and their views, (R, 3, S, S) each."""

    index: Tensor
    views: list[Tensor]


@dataclass(frozen=True)
class Batch:
    """Images of one optimiser step and all that is random about it.

    ``index`` (B,) int64 positions in the training split; ``images`` (B, 3, H, W) uint8, None where the
    loader has drawn the views already; ``labels`` (B,) int64, read only by objectives that say they are supervised;
    ``is_replay`` (B,) bool, true where a strategy added the row; ``generator`` belongs to this (seed, task, epoch,
    step) alone and lives on the batch's device; ``share`` says which rows of the global batch these are, None: all.
    """

    index: Tensor
    images: Tensor | None
    labels: Tensor
    task: int
    is_replay: Tensor
    generator: torch.Generator
    replayed: int = 0
    """How many rows, the last ones, a strategy added."""
    views: list[Tensor] | None = None
    """One (B, 3, S, S) float tensor per view, None where the step draws them from the images."""
    aside: Aside | None = None
    """Rows that took part in the step without the objective seeing them."""
    share: Share | None = None
    """Which rows of the global batch these are; None: all of it."""

    def parts(self) -> tuple[Batch, Batch]:
        """Return own and replayed rows; these have another generator, so that they never change what own rows draw."""
        own, device = len(self.index) - self.replayed, self.generator.device
        other = generator_of(self.generator.initial_seed(), "replayed", device=device)
        shares = (None, None) if self.share is None else self.share.parts
        return (
            self._rows(slice(0, own), 0, self.generator, shares[0]),
            self._rows(slice(own, None), self.replayed, other, shares[1]),
        )

    def _rows(self, rows: slice, replayed: int, generator: torch.Generator, share: Share | None) -> Batch:
        return replace(
            self,
            index=self.index[rows],
            images=None if self.images is None else self.images[rows],
            views=None if self.views is None else [view[rows] for view in self.views],
            labels=self.labels[rows],
            is_replay=self.is_replay[rows],
            generator=generator,
            replayed=replayed,
            share=share,
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

    def of_views(self, places: list[int]) -> Outputs:
        """Return the outputs of some of the views; targets, which the objective alone reads, stay as they are."""
        features, z, p = ([part[place] for place in places] if part else [] for part in (self.features, self.z, self.p))
        maps = [self.maps[place] for place in places] if self.maps else []
        return Outputs(features, z, p, self.targets, maps)

    def in_full(self) -> Outputs:
        """Return the outputs at single precision or better: losses need the digits that networks can do without."""
        if self.z[0].dtype not in HALF:
            return self
        features, z, p, targets = ([full(x) for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets, [[full(x) for x in maps] for maps in self.maps])

    def rows(self, chosen: slice) -> Outputs:
        """Return the outputs of some rows, without maps."""
        features, z, p, targets = ([x[chosen] for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets)


def full(x: Tensor) -> Tensor:
    """Return a tensor of half precision in single precision, and any other as it is."""
    return x.float() if x.dtype in HALF else x


def unmixed(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without mixed precision on a tensor's device; one without storage has none to begin with."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


@dataclass(frozen=True)
class Scope:
    """What the losses of a step look across: the rows of all processes, in consecutive groups of ``group``."""

    share: Share | None = None
    group: LossGroup = "global"

    def gather(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the rows of the global batch, with gradient, from this process's rows (n, D) of each tensor."""
        return list(tensors) if self.share is None else self.share.gather_all(tensors)

    def mean(self, loss: Callable[[slice], Tensor], count: int) -> Tensor:
        """Return the mean of a loss over the groups of ``count`` rows."""
        if self.group == "global":
            return loss(slice(None))
        if count % self.group:
            raise SettingsError(f"training.loss_group {self.group} does not divide the {count} images of a step")
        groups = [slice(start, start + self.group) for start in range(0, count, self.group)]
        return torch.stack([loss(rows) for rows in groups]).mean()


@dataclass(frozen=True)
class Step:
    """What a strategy sees of the step at hand; the teacher runs at most once, when first asked for.

    ``batch``, ``views`` and ``outputs`` have the rows of this process. A penalty that is a mean over rows needs no
    more, as gradients are averaged over processes; one that looks across rows has `everywhere` and ``scope``.
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
        """Places of the views that are compared with the teacher's: the largest ones.

        Small crops of multi-crop views are left out: they say too little of an image to be a target, and SwAV and
        DINO, whose crops they are, take none from them either.
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
        if not self.outputs.maps:  # nobody reads them, and they are the largest tensors of a step
            outputs = replace(outputs, maps=[])
        return outputs.in_full()

    @cached_property
    def student_outputs(self) -> Outputs:
        """Outputs of the model in training for the views that are compared, one to one with the teacher's."""
        return self.outputs.of_views(self.compared)

    @cached_property
    def everywhere(self) -> tuple[Outputs, Batch]:
        """Outputs, with gradient, and batch with the rows of all processes; what no loss reads is left behind."""
        outputs, batch, share = self.outputs, self.batch, self.batch.share
        if share is None or share.size == 1:
            return outputs, batch
        features = outputs.features if self.model.objective.uses_features else []
        parts = (features, outputs.z, outputs.p, outputs.targets)
        rows = iter(share.gather_all([x for part in parts for x in part]))
        features, z, p, targets = ([next(rows) for _ in part] for part in parts)
        facts = torch.stack([batch.index, batch.labels, batch.is_replay.long()], dim=1)
        index, labels, is_replay = share.gather(facts).T.contiguous().unbind()
        whole = replace(batch, index=index, labels=labels, is_replay=is_replay.bool(), images=None, views=None)
        return Outputs(features, z, p, targets), replace(whole, share=None)


@dataclass(frozen=True)
class Losses:
    """The scalars of one step; ``total`` is what gradients are taken of."""

    total: Tensor
    objective: Tensor
    penalty: Tensor | None


def drawn(batch: Batch, draw_views: Callable[[Batch], list[Tensor]]) -> list[Tensor]:
    """Return the views of a batch; those of own rows do not depend on what is replayed beside them."""
    if batch.views is not None:
        return batch.views
    if not batch.replayed:
        return draw_views(batch)
    own, replayed = batch.parts()
    return [torch.cat(pair) for pair in zip(draw_views(own), draw_views(replayed), strict=True)]


def objective_loss(step: Step) -> Tensor:
    """Return the objective's loss of the rows of all processes, the mean over groups."""
    objective, (outputs, batch) = step.model.objective, step.everywhere
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
    centres move once, by all rows.
    """
    kind = batch.generator.device.type
    mixed = torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
    with torch.autocast(kind, enabled=False):
        views, batch = strategy.blend(drawn(batch, draw_views), batch)
    outputs = model(views, maps=strategy.uses_maps).in_full()
    step = Step(batch, views, model, outputs, teacher, mixed, Scope(batch.share, loss_group))
    with torch.autocast(kind, enabled=False):
        objective = objective_loss(step)
        penalty = strategy.penalty(step)
        with torch.no_grad():
            model.objective.after_loss(*step.everywhere)
    total = objective if penalty is None else objective + penalty
    return Losses(total, objective.detach(), None if penalty is None else penalty.detach()), step
