"""The protocol of loaders, and the base class of loaders that prefetch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from cassle.data.base import InMemory
from cassle.data.file_images import FileImages
from cassle.data.loaders.rows import Rows, TaskRows
from cassle.data.on_device import send
from cassle.data.views import Views
from cassle.tensors.batch import Batch


class Loader(Protocol):
    """Batches of one task, each a function of (seed, task, epoch, step) and nothing else.

    Several processes draw the same batches, and each yields its rank shard of them.

    ``images`` are the images it reads; ``steps_per_epoch`` is the number of full batches in the task; each epoch leaves
    out other samples.
    """

    name: ClassVar[str]
    images: FileImages | InMemory
    steps_per_epoch: int

    def __len__(self) -> int:
        """Return the number of the task's images."""
        ...

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from a step on."""
        ...

    def online_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return clean images (B, 3, H, W) uint8 and labels (B,) of all tasks, for the current step of `epoch`."""
        ...

    def close(self) -> None:
        """End the processes and threads of the loader."""
        ...


@dataclass(frozen=True)
class Drawn:
    """The output of a file loader for a step: ``views`` and ``online`` images, normalized or uint8."""

    rows: Rows
    views: list[Tensor]
    online: Tensor

    def pin_memory(self) -> Drawn:
        """Return a copy in page-locked memory; torch's DataLoader calls this in a thread when a GPU is used."""
        return replace(self, views=[view.pin_memory() for view in self.views], online=self.online.pin_memory())


class AheadLoader(ABC):
    """A loader that prefetches steps in order, across the ends of epochs.

    It never restarts between epochs: `TaskRows` counts the steps, so that no end of an epoch can be missed.
    """

    name: ClassVar[str]

    def __init__(self, images: FileImages | InMemory, rows: TaskRows, views: Views, device: torch.device) -> None:
        self.images, self.rows, self.views, self.device = images, rows, views, device
        self.steps_per_epoch = rows.steps_per_epoch
        self._ahead: Iterator[Drawn] | None = None
        self._next: tuple[int, int] | None = None
        self._online: tuple[int, int, Tensor, Tensor] | None = None

    @abstractmethod
    def start(self, rows: Iterator[Rows]) -> Iterator[Drawn]:
        """Yield views and online images of each of ``rows``."""

    @abstractmethod
    def close(self) -> None:
        """End the processes and threads of the loader."""

    def __len__(self) -> int:
        return len(self.rows.indices)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from a step on."""
        for step in range(first_step, self.steps_per_epoch):
            if self._ahead is None or self._next != (epoch, step):
                self.close()
                self._ahead = self.start(self.rows.from_step(epoch, step))
            drawn = next(self._ahead)
            if (drawn.rows.epoch, drawn.rows.step) != (epoch, step):
                raise RuntimeError(f"the loader gave step {drawn.rows.step} of epoch {drawn.rows.epoch} for {step}")
            self._next = (epoch, step + 1) if step + 1 < self.steps_per_epoch else (epoch + 1, 0)
            yield self.batch(drawn)

    def batch(self, drawn: Drawn) -> Batch:
        """Return the batch of a step, on the device."""
        rows = drawn.rows
        labels = self.images.labels.cpu()
        online = send(drawn.online, self.device)
        self._online = (rows.epoch, rows.step, online, send(labels[rows.online], self.device))
        return Batch(
            index=send(rows.index, self.device),
            images=None,
            labels=send(labels[rows.index], self.device),
            task=self.rows.task,
            is_replay=torch.arange(len(rows.index), device=self.device) >= rows.own,
            replayed=len(rows.index) - rows.own,
            generator=self.rows.generator("batch", rows.epoch, rows.step, device=self.device),
            views=drawn.views,
            shard=rows.shard,
        )

    def online_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return clean images (B, 3, S, S) uint8 and labels (B,) of all tasks, read along with the batch of a step."""
        if self._online is None or self._online[:2] != (epoch, step):
            raise RuntimeError(f"the labeled images of step {step} of epoch {epoch} come with its batch, not alone")
        return self._online[2:]
