"""Batches of images that live in memory, on the device: read by position, views drawn by the step itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from cassle.data.base import InMemory
from cassle.data.file_images import FileImages
from cassle.data.loaders.rows import TaskRows
from cassle.tensors.batch import Batch


class DeviceLoader:
    """Iterates the training images of one task; images and indices are on the device."""

    name: ClassVar[str] = "device"

    def __init__(self, images: InMemory, rows: TaskRows) -> None:
        self.images: FileImages | InMemory = images
        self.rows = rows
        self.steps_per_epoch = rows.steps_per_epoch

    def __len__(self) -> int:
        return len(self.rows.indices)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from a step on."""
        device = self.rows.indices.device
        for step in range(first_step, self.steps_per_epoch):
            index, shard = self.rows.index(epoch, step)
            own = shard.own // shard.size
            yield Batch(
                index=index,
                images=self.images.read(index),
                labels=self.images.labels[index],
                task=self.rows.task,
                is_replay=torch.arange(len(index), device=device) >= own,
                replayed=len(index) - own,
                generator=self.rows.generator("views", epoch, step, device=device),
                shard=shard,
            )

    def online_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, H, W) uint8 and labels (B,) drawn from the training images of all tasks."""
        index = self.rows.online(epoch, step)
        return self.images.read(index), self.images.labels[index]

    def close(self) -> None:
        """Do nothing: this loader has no processes and no threads."""
