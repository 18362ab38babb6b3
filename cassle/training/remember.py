"""One call makes one memory: from the memory before it, the checkpoint of a task and the data of that task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cassle.data.base import InMemory, read_index
from cassle.data.file_images import FileImages, load_images
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.splits import read_split
from cassle.data.streams import Stream
from cassle.data.views import Views
from cassle.errors import SettingsError
from cassle.models.checkpoints import load_checkpoint, load_into
from cassle.models.model import Model
from cassle.nets.features import CLEAN_BATCH, Rows, extract_features
from cassle.options import parse
from cassle.provenance import versions
from cassle.random import seed_of
from cassle.settings.site import Site
from cassle.settings.training import Training
from cassle.strategies.base import TaskEnd
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy, memory_code
from cassle.training.memories import MemoryFile, check_memory, load_memory, save_memory
from cassle.training.precision import resolve_device
from cassle.training.step import views_of


@dataclass(frozen=True)
class RememberRequest:
    """What the making of a memory is given: its settings, where it runs, and its files.

    ``spec`` is a `MemoryJob.spec`, ``checkpoint`` that of the task, ``previous`` the memory of the task before it
    (None after the first), ``out`` the memory to write.
    """

    spec: dict[str, Any]
    site: Site
    index: Path
    split: Path
    checkpoint: Path
    out: Path
    previous: Path | None = None


def remember_task(request: RememberRequest) -> None:
    """Write the memory that the next task starts from.

    Raises `SettingsError` for a strategy that keeps none, and `CheckpointError` for files that do not belong together.
    """
    torch.set_num_threads(request.site.execution.threads)
    spec, site = request.spec, request.site
    stream = Stream(**spec["stream"])
    data_set = stream.open(site.data)
    index, split = read_index(request.index), read_split(request.split)
    device = resolve_device(site.execution.device)
    model = build_model(spec, data_set.image_size, index.num_classes)
    strategy = build_strategy(spec, model)
    if not strategy.keeps_memory:
        raise SettingsError(f"strategy {spec['strategy']['name']} keeps no memory")
    if spec["task"] >= stream.tasks - 1:
        raise SettingsError(f"task {spec['task']} is the last one: nothing is remembered for it")
    checkpoint = load_checkpoint(request.checkpoint)
    load_into(model, checkpoint.model, str(request.checkpoint))
    previous = None
    if spec["task"] > 0:
        if request.previous is None:
            raise SettingsError(f"the memory after task {spec['task']} needs the one before it: give --memory")
        previous = load_memory(request.previous)
        check_memory(request.previous, previous, spec, None, index.fingerprint)
    size, threads = data_set.image_size, site.execution.threads
    images = load_images(data_set, index, site.root, "train", size, threads).to(device)
    training = parse(Training, spec["training"], "training")
    own = (torch.as_tensor(split.train_task) == spec["task"]).nonzero().flatten()
    views = Views(training.views, data_set.mean, data_set.std)
    end = task_end(model.to(device), spec, training.batch_size, images, own, views, device)
    meta = {
        "spec": spec,
        "code": memory_code(spec),
        "versions": versions(),
        "data": index.fingerprint,
        "parent": checkpoint.fingerprint,
        "memory": None if previous is None else previous.fingerprint,
    }
    made = strategy.to(device).remember(end, {} if previous is None else previous.tensors)
    save_memory(request.out, MemoryFile(made, meta))


def task_end(
    model: Model,
    spec: dict[str, Any],
    batch_size: int,
    images: InMemory | FileImages,
    positions: Tensor,
    views: Views,
    device: torch.device,
) -> TaskEnd:
    """Return what a strategy may use to remember a task, drawn from (seed, purpose, task, step) as everything is."""
    seed, task = spec["seed"], spec["task"]

    def clean_features(chosen: Tensor) -> Tensor:
        return extract_features(model.backbone, Rows(images, chosen.to(device)), CLEAN_BATCH, device, views.clean)

    def batches(size: int) -> Iterator[Batch]:
        rows = TaskRows(positions, positions[:0], size, seed_of(seed, "memory"), task)
        threads = images.workers if isinstance(images, FileImages) else 1
        with closing(open_loader("auto", images, rows, views, device, threads)) as loader:
            yield from loader.epoch(0)

    draw_views = partial(views_of, draw_views=views)
    return TaskEnd(model, task, seed, batch_size, positions, clean_features, batches, draw_views)
