"""Throughput of every loader, views and labeled images included, on synthetic image files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from cassle.bench.base import as_text, begin, rate, result, seconds_per_call
from cassle.bench.workload import RecipeSettings, pictures, specs
from cassle.data.base import InMemory, Part
from cassle.data.file_images import FileImages
from cassle.data.loaders import Loader, TaskRows, open_loader
from cassle.data.loaders.dali import dali_is_installed
from cassle.data.views import Views
from cassle.runtime.allocator import keep_freed_memory
from cassle.settings.site import Site

__all__ = ["BenchSettings", "as_text", "measure"]


class BenchSettings(RecipeSettings):
    """Whole batches of a recipe."""

    images: int = Field(512, gt=0, description="image files that are made up and read again and again")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return images per second of every loader that this machine has, views included.

    Each image is read once for its views and, as in training, another one for the online classifier. ``device`` has
    all images decoded, and draws its views here as a step does.
    """
    device = begin(site)
    keep_freed_memory()
    training, facts, threads = specs(settings.words())[0].training, settings.facts(), site.execution.threads
    views = Views(training.views, facts.mean, facts.std)
    made = pictures(settings.images, *settings.image_size())
    labels = np.zeros(settings.images, dtype=np.int64)
    rows = TaskRows(torch.arange(settings.images), torch.arange(settings.images), training.batch_size, 0, 0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        for place, image in enumerate(made):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(f"{folder}/{place}.jpg", quality=90)
        names = tuple(f"{place}.jpg" for place in range(settings.images))
        files = FileImages(Path(folder), Part(labels, labels, None, names), facts.image_size, threads)
        resident = InMemory(made, torch.as_tensor(labels), torch.as_tensor(labels))
        given: dict[str, FileImages | InMemory] = {"torchvision": files, "dali": files, "device": resident}
        if not dali_is_installed():
            del given["dali"]
        cases = {}
        for name, images in given.items():
            loader = opened.enter_context(closing(open_loader(name, images, rows, views, device, threads)))
            cases[name] = Steps(loader, views)
        times = seconds_per_call(cases, device, settings.rounds)
    measured = [rate(name, times[name], training.batch_size, "images") for name in cases]
    return result("loader", settings, site, device, measured)


class Steps:
    """A case whose calls take the next batch of a loader."""

    def __init__(self, loader: Loader, views: Views) -> None:
        self.loader, self.views, self.steps = loader, views, self.all()

    def __call__(self) -> None:
        next(self.steps)

    def all(self) -> Iterator[None]:
        """Iterate over epochs without end."""
        for epoch in count():
            for step, batch in enumerate(self.loader.epoch(epoch)):
                if batch.views is None:
                    self.views(batch)
                self.loader.online_batch(epoch, step)
                yield
