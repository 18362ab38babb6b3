"""Images of one half of a dataset, as probes ask for them: clean ones once, random crops for every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cassle.core.random import seed_of
from cassle.data.base import Dataset, InMemory
from cassle.data.file_images import FileImages
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views, clean_view
from cassle.evaluation.subject import Subject
from cassle.tensors.outputs import full

Epochs = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
"""Number of an epoch -> its batches, each of tensors (B, ...) and labels (B,)."""


@dataclass(frozen=True)
class Source:
    """Yields normalized batches (B, 3, S, S) of ``size`` pixels; of those it holds no more than one at a time."""

    images: InMemory | FileImages
    dataset: Dataset
    size: int
    device: torch.device

    def clean(self, positions: Tensor, batch_size: int) -> Iterator[Tensor]:
        """Yield the images at positions (N,) in their order, without augmentation."""
        for index in torch.split(positions, batch_size):
            images = self.images.read(index).to(self.device)
            yield clean_view(images, self.size, self.dataset.mean, self.dataset.std)

    @contextmanager
    def crops(self, view: ViewSettings, positions: Tensor, batch_size: int, seed: int) -> Iterator[Epochs]:
        """Open the random views of the images at positions (N,): a function of the epoch that yields its batches.

        Images come in a random order, each at most once in an epoch; a last incomplete batch is left out. A batch is a
        function of (seed, epoch, step).
        """
        rows = TaskRows(positions, positions[:0], batch_size, seed_of(seed, "probe"), 0)
        views = Views([view], self.dataset.mean, self.dataset.std)
        threads = self.images.workers if isinstance(self.images, FileImages) else 1
        loader = open_loader("auto", self.images, rows, views, self.device, threads)

        def epoch_of(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for batch in loader.epoch(epoch):
                (crops,) = views(batch) if batch.views is None else batch.views
                yield crops, batch.labels

        with closing(loader):
            yield epoch_of


@contextmanager
def crop_features(
    subject: Subject, source: Source, mixed: torch.dtype | None, view: ViewSettings, *what: Any
) -> Iterator[Epochs]:
    """Open the crops of a source, and yield their features (B, F) in place of them; arguments as of `Source.crops`.

    ``mixed``: the precision the backbone computes in, None for that of its weights; features are in full.
    """
    with source.crops(view, *what) as epoch_of:

        def features_of(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for crops, labels in epoch_of(epoch):
                with torch.autocast(crops.device.type, mixed, enabled=mixed is not None):
                    features = subject.backbone(crops)
                yield full(features), labels

        yield features_of
