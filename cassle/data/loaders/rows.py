"""The sample indices of each step: the task's own in the order of the epoch, replayed ones and labeled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cassle.core.errors import DataError
from cassle.core.random import generator
from cassle.runtime.distributed import RankShard

Replay = Callable[[int, torch.Generator], Tensor | None]
"""Number of own rows of a step and a generator -> indices (R,) of the samples to replay, or None."""


@dataclass(frozen=True)
class Rows:
    """The sample indices of one process in a step: ``index`` (B + R,) own, then replayed; ``online`` (B,) labeled.

    ``shard`` is the rank shard of the global batch.
    """

    epoch: int
    step: int
    index: Tensor
    shard: RankShard
    online: Tensor

    @property
    def own(self) -> int:
        """Number of own rows, which are not replayed."""
        return self.shard.own // self.shard.size


@dataclass
class TaskRows:
    """The sample indices of every step of a task; indices (n,) int64 count within the training half.

    ``indices`` are the task's samples, ``labeled`` those of all tasks, which the online classifier is trained on;
    indices are drawn on their device; ``batch_size`` is that of the global batch. Raises
    `DataError` for a task smaller than a batch.
    """

    indices: Tensor
    labeled: Tensor
    batch_size: int
    seed: int
    task: int
    replay: Replay | None = None
    _order: tuple[int, Tensor] = field(default=(-1, torch.empty(0)), init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.indices) < self.batch_size:
            raise DataError(
                f"task {self.task} has {len(self.indices)} training images, fewer than one batch of "
                f"{self.batch_size}; lower training.batch_size or make fewer tasks"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in the task's images."""
        return len(self.indices) // self.batch_size

    def order(self, epoch: int) -> Tensor:
        """Return the task's sample indices in the order of an epoch."""
        if self._order[0] != epoch:
            shuffled = torch.randperm(len(self.indices), generator=self.generator("order", epoch))
            self._order = (epoch, self.indices[shuffled.to(self.indices.device)])
        return self._order[1]

    def at(self, epoch: int, step: int) -> Rows:
        """Return the sample indices of a step."""
        index, shard = self.index(epoch, step)
        return Rows(epoch, step, index, shard, self.online(epoch, step))

    def index(self, epoch: int, step: int) -> tuple[Tensor, RankShard]:
        """Return the sample indices (B + R,) of this process in a step, own before replayed ones, and its shard."""
        index = self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        own = len(index)
        if self.replay is not None:
            replayed = self.replay(own, self.generator("replay", epoch, step, device=index.device))
            if replayed is not None:
                index = torch.cat([index, replayed.to(index.device)])
        shard = RankShard(own, len(index) - own)
        return shard.take(index), shard

    def online(self, epoch: int, step: int) -> Tensor:
        """Return the sample indices (B,) that the online classifier is trained on in a step, if any."""
        if not len(self.labeled):
            return self.labeled
        device = self.labeled.device
        draws = self.generator("online", epoch, step, device=device)
        drawn = torch.randint(len(self.labeled), (self.batch_size,), generator=draws, device=device)
        return self.labeled[RankShard(self.batch_size).take(drawn)]

    def to(self, device: torch.device | str) -> TaskRows:
        """Return the same task, with indices drawn on a device."""
        return replace(self, indices=self.indices.to(device), labeled=self.labeled.to(device))

    def from_step(self, epoch: int, step: int) -> Iterator[Rows]:
        """Yield the sample indices from a step on, epoch after epoch, without end."""
        while True:
            for number in range(step, self.steps_per_epoch):
                yield self.at(epoch, number)
            epoch, step = epoch + 1, 0

    def generator(self, purpose: str, *at: int, device: torch.device | str = "cpu") -> torch.Generator:
        """Return the generator of (seed, purpose, task, epoch, step)."""
        return generator(self.seed, purpose, self.task, *at, device=device)
