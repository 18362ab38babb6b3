"""Batches of a task, made on the device; each a function of (seed, task, epoch, step) and nothing else.

Batches are drawn for all processes alike, and each takes its share of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cassle.data.base import InMemory
from cassle.distributed import Share
from cassle.errors import DataError
from cassle.random import generator
from cassle.training.step import Batch

Replay = Callable[[int, torch.Generator], Tensor | None]
"""From a number of own rows and a generator to the positions (R,) replayed beside them, or None (`Strategy.replay`)."""


class TaskLoader:
    """Iterates the training images of one task; the last incomplete batch of an epoch is left out.

    ``positions`` (n,) int64 are the task's images within the training half; ``labelled`` (m,) those of all tasks, which
    the online classifier is trained on; ``replay`` says which images of earlier tasks join a batch, behind its own.
    ``batch_size`` counts the images of all processes.
    """

    def __init__(
        self,
        images: InMemory,
        positions: Tensor,
        labelled: Tensor,
        batch_size: int,
        seed: int,
        task: int,
        device: torch.device,
        replay: Replay | None = None,
    ) -> None:
        if len(positions) < batch_size:
            raise DataError(
                f"task {task} has {len(positions)} training images, fewer than one batch of {batch_size}; lower "
                "training.batch_size or make fewer tasks"
            )
        self.images, self.positions, self.labelled = images, positions.to(device), labelled.to(device)
        self.batch_size, self.seed, self.task, self.device = batch_size, seed, task, device
        self.replay = replay
        self.steps_per_epoch = len(positions) // batch_size
        self.share = Share(batch_size)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield this process's share of the batches of an epoch, from a step on."""
        order = torch.randperm(len(self.positions), generator=generator(self.seed, "order", self.task, epoch))
        order = order.to(self.device)
        for step in range(first_step, self.steps_per_epoch):
            own = self.positions[order[step * self.batch_size : (step + 1) * self.batch_size]]
            joined = torch.cat([own, *self._replayed(len(own), epoch, step)])
            share = Share(len(own), len(joined) - len(own))
            index = share.take(joined)
            replayed = share.replayed // share.size
            yield Batch(
                index=index,
                images=self.images.read(index),
                labels=self.images.labels[index],
                task=self.task,
                is_replay=torch.arange(len(index), device=self.device) >= len(index) - replayed,
                generator=generator(self.seed, "views", self.task, epoch, step, device=self.device),
                replayed=replayed,
                share=share,
            )

    def _replayed(self, count: int, epoch: int, step: int) -> list[Tensor]:
        if self.replay is None:
            return []
        rows = self.replay(count, generator(self.seed, "replay", self.task, epoch, step, device=self.device))
        return [] if rows is None else [rows]

    def online_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, H, W) uint8 and labels (B,) drawn from the images of all tasks, and shared alike."""
        draws = generator(self.seed, "online", self.task, epoch, step, device=self.device)
        drawn = torch.randint(len(self.labelled), (self.batch_size,), generator=draws, device=self.device)
        index = self.labelled[self.share.take(drawn)]
        return self.images.read(index), self.images.labels[index]
