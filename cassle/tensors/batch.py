"""The batch of one optimizer step, with its random generator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cassle.core.random import generator as generator_of
from cassle.runtime.distributed import RankShard


@dataclass(frozen=True)
class Aside:
    """Replayed rows that a strategy keeps from the objective: ``index`` (R,) and their views, (R, 3, S, S) each."""

    index: Tensor
    views: list[Tensor]


@dataclass(frozen=True)
class Batch:
    """The samples of one optimizer step, with their random generator.

    ``index`` (B,) int64 sample indices in the training split; ``images`` (B, 3, H, W) uint8, None where the
    loader has drawn the views; ``labels`` (B,) int64, read only by supervised objectives;
    ``is_replay`` (B,) bool, true where a strategy added the row; ``generator`` is seeded by (seed, task, epoch, step)
    and is on the batch's device; ``shard`` is the rank shard of the global batch, None for the whole batch.
    """

    index: Tensor
    images: Tensor | None
    labels: Tensor
    task: int
    is_replay: Tensor
    generator: torch.Generator
    replayed: int = 0
    """Number of rows that a strategy added; they are the last ones."""
    views: list[Tensor] | None = None
    """One (B, 3, S, S) float tensor per view, None where the step draws them from the images."""
    aside: Aside | None = None
    """Replayed rows of the step that the objective does not see."""
    shard: RankShard | None = None
    """Rank shard of the global batch; None for the whole batch."""

    def parts(self) -> tuple[Batch, Batch]:
        """Return own and replayed rows; a second generator keeps replayed rows from changing the draws of own rows."""
        own, device = len(self.index) - self.replayed, self.generator.device
        other = generator_of(self.generator.initial_seed(), "replayed", device=device)
        shards = (None, None) if self.shard is None else self.shard.parts
        return (
            self._rows(slice(0, own), 0, self.generator, shards[0]),
            self._rows(slice(own, None), self.replayed, other, shards[1]),
        )

    def _rows(self, rows: slice, replayed: int, generator: torch.Generator, shard: RankShard | None) -> Batch:
        return replace(
            self,
            index=self.index[rows],
            images=None if self.images is None else self.images[rows],
            views=None if self.views is None else [view[rows] for view in self.views],
            labels=self.labels[rows],
            is_replay=self.is_replay[rows],
            generator=generator,
            replayed=replayed,
            shard=shard,
        )
