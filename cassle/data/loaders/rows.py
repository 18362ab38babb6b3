"""Which images a step reads: the task's own in the order of the epoch, replayed ones and labeled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cassle.core.errors import DataError
from cassle.core.random import generator
from cassle.runtime.distributed import Share

Replay = Callable[[int, torch.Generator], Tensor | None]
"""A step's number of rows and a generator -> positions (R,) of rows that join them, or None."""


@dataclass(frozen=True)
class Rows:
    """What one process reads in a step: ``index`` (B + R,) own rows and then replayed ones; ``online`` (B,) labeled.

    ``share`` says which rows of the global batch these are.
    """

    epoch: int
    step: int
    index: Tensor
    share: Share
    online: Tensor

    @property
    def own(self) -> int:
        """Number of rows that are not replayed."""
        return self.share.own // self.share.size


@dataclass
class TaskRows:
    """Which images the steps of a task read; positions (n,) int64 count within the training half.

    ``positions`` are the task's images, ``labeled`` those of all tasks, which the online classifier is trained on;
    the device they lie on is where rows are drawn; ``batch_size`` counts the images of all processes. Raises
    `DataError` for a task smaller than a batch.
    """

    positions: Tensor
    labeled: Tensor
    batch_size: int
    seed: int
    task: int
    replay: Replay | None = None
    _order: tuple[int, Tensor] = field(default=(-1, torch.empty(0)), init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.positions) < self.batch_size:
            raise DataError(
                f"task {self.task} has {len(self.positions)} training images, fewer than one batch of "
                f"{self.batch_size}; lower training.batch_size or make fewer tasks"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in the task's images."""
        return len(self.positions) // self.batch_size

    def order(self, epoch: int) -> Tensor:
        """Return the task's positions in the order of an epoch."""
        if self._order[0] != epoch:
            shuffled = torch.randperm(len(self.positions), generator=self.generator("order", epoch))
            self._order = (epoch, self.positions[shuffled.to(self.positions.device)])
        return self._order[1]

    def at(self, epoch: int, step: int) -> Rows:
        """Return what a step reads."""
        index, share = self.index(epoch, step)
        return Rows(epoch, step, index, share, self.online(epoch, step))

    def index(self, epoch: int, step: int) -> tuple[Tensor, Share]:
        """Return the positions (B + R,) that this process has in a step's batch, own rows before replayed ones."""
        index = self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        own = len(index)
        if self.replay is not None:
            replayed = self.replay(own, self.generator("replay", epoch, step, device=index.device))
            if replayed is not None:
                index = torch.cat([index, replayed.to(index.device)])
        share = Share(own, len(index) - own)
        return share.take(index), share

    def online(self, epoch: int, step: int) -> Tensor:
        """Return the positions (B,) of the images that the online classifier is trained on in a step, if any."""
        if not len(self.labeled):
            return self.labeled
        device = self.labeled.device
        draws = self.generator("online", epoch, step, device=device)
        drawn = torch.randint(len(self.labeled), (self.batch_size,), generator=draws, device=device)
        return self.labeled[Share(self.batch_size).take(drawn)]

    def to(self, device: torch.device | str) -> TaskRows:
        """Return the same rows, drawn on a device."""
        return replace(self, positions=self.positions.to(device), labeled=self.labeled.to(device))

    def from_step(self, epoch: int, step: int) -> Iterator[Rows]:
        """Yield what is read from a step on, epoch after epoch without end."""
        while True:
            for place in range(step, self.steps_per_epoch):
                yield self.at(epoch, place)
            epoch, step = epoch + 1, 0

    def generator(self, purpose: str, *at: int, device: torch.device | str = "cpu") -> torch.Generator:
        """Return the generator of (seed, purpose, task, epoch, step)."""
        return generator(self.seed, purpose, self.task, *at, device=device)
