"""The reference loader: worker processes decode images and apply torchvision's transforms.

It implements the views independently, one image at a time on integer gray levels, as the original release does, so
that the batched views and those of DALI can be compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from cassle.core.random import seed_of
from cassle.data.base import InMemory
from cassle.data.crop import rotate
from cassle.data.file_images import FileImages, clean_image
from cassle.data.loaders.base import AheadLoader, Drawn
from cassle.data.loaders.rows import Rows, TaskRows
from cassle.data.on_device import send
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views, normalize
from cassle.runtime.signals import die_with_parent
from cassle.tensors.batch import Batch

AHEAD = 2
"""Batches that each worker prefetches."""


class TorchvisionLoader(AheadLoader):
    """Read the batches of a task in one process fewer than the job has threads; at least one when a GPU is used."""

    name: ClassVar[str] = "torchvision"

    def __init__(
        self, images: FileImages | InMemory, rows: TaskRows, views: Views, device: torch.device, threads: int
    ) -> None:
        super().__init__(images, rows, views, device)
        self.workers = max(threads - 1, 1 if device.type == "cuda" else 0)
        self._running: Iterator[Drawn] | None = None

    def start(self, rows: Iterator[Rows]) -> Iterator[Drawn]:
        """Yield views and online images, both uint8, of the given steps."""
        on_gpu = self.device.type == "cuda"
        reader = StepReader(self.images, self.views.settings, self.rows.seed, self.rows.task)
        parallel = {"prefetch_factor": AHEAD, "multiprocessing_context": "fork"} if self.workers else {}
        self._running = iter(
            DataLoader(
                reader,
                batch_size=None,
                sampler=_Steps(rows),
                num_workers=self.workers,
                pin_memory=on_gpu,
                worker_init_fn=_die_with_parent,
                generator=torch.Generator(),  # otherwise it draws from the global generator
                **parallel,  # type: ignore[arg-type]
            )
        )
        return self._running

    def batch(self, drawn: Drawn) -> Batch:
        """Return the batch of a step, its views normalized on the device."""
        views = []
        for view in drawn.views:
            view = send(view, self.device).contiguous(memory_format=torch.channels_last)
            views.append(normalize(view.float().div_(255), self.views.mean, self.views.std))
        return super().batch(Drawn(drawn.rows, views, drawn.online))

    def close(self) -> None:
        """End the workers."""
        end = getattr(self._running, "_shutdown_workers", None)
        if end is not None:
            end()
        self._running = self._ahead = None


class StepReader(Dataset[Drawn]):
    """Make the views and online images of a step: a function of (seed, task) and its rows, in any process."""

    def __init__(self, images: FileImages | InMemory, views: Sequence[ViewSettings], seed: int, task: int) -> None:
        self.images, self.seed, self.task = images, seed, task
        self.transforms = [transform(settings) for settings in views]
        self.sizes = [settings.size for settings in views]

    def __getitem__(self, rows: Rows) -> Drawn:
        order = [row for run in rows.shard.runs for row in run]
        views = [empty(len(order), size) for size in self.sizes]
        online = empty(len(rows.online), self.sizes[0])
        with torch.random.fork_rng(devices=[]):
            for row, (global_row, sample) in enumerate(zip(order, rows.index.tolist(), strict=True)):
                for whole, view in zip(views, self.views(rows, global_row, sample), strict=True):
                    whole[row] = view
        for row, sample in enumerate(rows.online.tolist()):
            online[row] = clean_image(self.images.image(sample), self.sizes[0])
        return Drawn(rows, views, online)

    def views(self, rows: Rows, global_row: int, sample: int) -> list[Tensor]:
        """Return the views (3, S, S) uint8 of a sample, which is a row of the global batch of a step."""
        image = self.images.image(sample)
        torch.manual_seed(seed_of(self.seed, "views", self.task, rows.epoch, rows.step, global_row))
        return [change(image) for change in self.transforms]


def empty(count: int, side: int) -> Tensor:
    """Return an uninitialized batch, to be filled one by one: a list and its stack would take twice the memory."""
    return torch.empty(count, 3, side, side, dtype=torch.uint8)


class _Steps(Sampler[Rows]):
    """Yields the steps to read."""

    def __init__(self, rows: Iterator[Rows]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Rows]:
        return self.rows


def transform(settings: ViewSettings) -> v2.Transform:
    """Return the chain from an image (3, H, W) uint8 to a view (3, S, S) uint8, before normalization."""
    bicubic, reach = v2.InterpolationMode.BICUBIC, min(math.ceil(3 * settings.sigma[1]), settings.size - 1)
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(settings.size, settings.scale, settings.ratio, bicubic, antialias=True)
    ]
    if settings.jitter:
        jitter = v2.ColorJitter(settings.brightness, settings.contrast, settings.saturation, settings.hue)
        steps.append(v2.RandomApply([jitter], settings.jitter))
    if settings.gray:
        steps.append(v2.RandomGrayscale(settings.gray))
    if settings.blur:
        steps.append(v2.RandomApply([v2.GaussianBlur(2 * reach + 1, settings.sigma)], settings.blur))
    if settings.solarize:
        steps.append(v2.RandomSolarize(128, settings.solarize))
    if settings.flip:
        steps.append(v2.RandomHorizontalFlip(settings.flip))
    if settings.rotate:
        steps.append(RandomRotation(settings.rotate))
    return v2.Compose(steps)


class RandomRotation(v2.Transform):  # type: ignore[misc]
    """Rotate by up to ``degrees`` in both directions and repeat the border, which torchvision's transform cannot."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.degrees = degrees

    def forward(self, image: Tensor) -> Tensor:
        """Return the image (3, S, S) uint8 rotated."""
        angle = torch.empty(1).uniform_(-self.degrees, self.degrees)
        return rotate(image[None].float(), angle)[0].round_().to(torch.uint8)


def _die_with_parent(worker: int) -> None:
    die_with_parent()
