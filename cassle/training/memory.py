"""One call makes one memory: from the memory before it, the checkpoint of a task and the data of that task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cassle.contracts.records import MemoryProvenance, record_of
from cassle.contracts.specs import MemorySpec, TrainSpec
from cassle.core.errors import CheckpointError, DataError, SettingsError
from cassle.core.files import fingerprint, fingerprint_tensors, load_tensors, save_tensors
from cassle.core.options import differences
from cassle.core.provenance import versions
from cassle.core.random import seed_of
from cassle.data.base import InMemory, read_index
from cassle.data.file_images import FileImages, load_images
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.splits import read_split
from cassle.data.views import Views
from cassle.models.checkpoints import load_checkpoint, load_into
from cassle.models.model import Model
from cassle.nets.features import CLEAN_BATCH, Subset, extract_features
from cassle.settings.site import Site
from cassle.strategies.base import TaskEnd
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy, memory_code
from cassle.training.precision import resolve_device
from cassle.training.step import views_of

FORMAT = 2
"""Raised when the meaning of a memory's fields changes."""


@dataclass(frozen=True)
class MemoryFile:
    """``tensors``: positions in the training half, outputs, weights; never pixels.

    ``provenance``: the specification, fingerprints of the checkpoint (`parent`), of the previous memory (`memory`), of
    data and code, versions; no time, no host.
    """

    tensors: dict[str, Tensor]
    provenance: MemoryProvenance

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that name the tensors and what made them."""
        return fingerprint([fingerprint_tensors(self.tensors), self.provenance.as_json()])


def save_memory(path: str | Path, memory: MemoryFile) -> None:
    """Write a memory, completely or not at all."""
    tensors = {key: value.detach().cpu() for key, value in memory.tensors.items()}
    save_tensors(path, {"format": FORMAT, "memory": tensors, "provenance": memory.provenance.as_json()})


def load_memory(path: str | Path) -> MemoryFile:
    """Read a memory to the CPU; `CheckpointError` if it is damaged or of another kind."""
    value = load_tensors(path)
    if not isinstance(value, dict) or not {"format", "memory"} <= set(value):
        raise CheckpointError(f"{path} is not a memory: `cassle build_memory` writes such files")
    if value["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has memory format {value['format']}, this version reads {FORMAT}; delete it and run again"
        )
    tensors = value["memory"]
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} is damaged: its part 'memory' holds no named tensors; delete it and run again")
    try:
        return MemoryFile(tensors, record_of(MemoryProvenance, value.get("provenance"), f"{path}, provenance"))
    except DataError as error:
        raise CheckpointError(str(error)) from error


def check_memory(path: str | Path, memory: MemoryFile, spec: TrainSpec, parent: str | None, data: str) -> None:
    """Raise `CheckpointError` unless a memory belongs to the task before ``spec``'s, of the same run and data.

    ``parent``: fingerprint of the checkpoint that the memory must have been made from, None for any.
    """
    made = memory.provenance.spec
    if made.task != spec.task - 1:
        raise CheckpointError(
            f"{path} is the memory after task {made.task}; task {spec.task} needs that after {spec.task - 1}"
        )
    if other := differences(made.strategy.model_dump(), spec.strategy.model_dump() if spec.strategy else {}):
        raise CheckpointError(f"{path} belongs to a run whose strategy differs in {', '.join(other)}")
    if memory.provenance.data != data:
        raise CheckpointError(f"{path} counts images of other data than this index; make it again")
    if parent not in (None, memory.provenance.parent):
        raise CheckpointError(f"{path} was made from another checkpoint than the one this task starts from")


@dataclass(frozen=True)
class MemoryRequest:
    """What the making of a memory is given: its settings, where it runs, and its files.

    ``spec`` is a `MemoryJob.spec`, ``checkpoint`` that of the task, ``previous`` the memory of the task before it
    (None after the first), ``out`` the memory to write.
    """

    spec: MemorySpec
    site: Site
    index: Path
    split: Path
    checkpoint: Path
    out: Path
    previous: Path | None = None


def build_memory(request: MemoryRequest) -> None:
    """Write the memory that the next task starts from.

    Raises `SettingsError` for a strategy that keeps none, and `CheckpointError` for files that do not belong together.
    """
    torch.set_num_threads(request.site.execution.threads)
    spec, site = request.spec, request.site
    dataset = spec.stream.open(site.data)
    index, split = read_index(request.index), read_split(request.split)
    device = resolve_device(site.execution.device)
    model = build_model(spec, dataset.image_size, index.num_classes)
    strategy = build_strategy(spec, model)
    if not strategy.keeps_memory:
        raise SettingsError(f"strategy {spec.strategy.name} keeps no memory")
    if spec.task >= spec.stream.tasks - 1:
        raise SettingsError(f"task {spec.task} is the last one: nothing is remembered for it")
    checkpoint = load_checkpoint(request.checkpoint)
    load_into(model, checkpoint.model, str(request.checkpoint))
    previous = None
    if spec.task > 0:
        if request.previous is None:
            raise SettingsError(f"the memory after task {spec.task} needs the one before it: give --memory")
        previous = load_memory(request.previous)
        check_memory(request.previous, previous, spec, None, index.fingerprint)
    size, threads = dataset.image_size, site.execution.threads
    images = load_images(dataset, index, site.root, "train", size, threads).to(device)
    training = spec.training
    own = (torch.as_tensor(split.train_task) == spec.task).nonzero().flatten()
    views = Views(training.views, dataset.mean, dataset.std)
    end = task_end(model.to(device), spec, training.batch_size, images, own, views, device)
    provenance = MemoryProvenance(
        spec=spec,
        code=memory_code(spec),
        versions=versions(),
        data=index.fingerprint,
        parent=checkpoint.fingerprint,
        memory=None if previous is None else previous.fingerprint,
    )
    made = strategy.to(device).build_memory(end, {} if previous is None else previous.tensors)
    save_memory(request.out, MemoryFile(made, provenance))


def task_end(
    model: Model,
    spec: TrainSpec,
    batch_size: int,
    images: InMemory | FileImages,
    positions: Tensor,
    views: Views,
    device: torch.device,
) -> TaskEnd:
    """Return what a strategy may use to remember a task, drawn from (seed, purpose, task, step) as everything is."""
    seed, task = spec.seed, spec.task

    def clean_features(chosen: Tensor) -> Tensor:
        return extract_features(model.backbone, Subset(images, chosen.to(device)), CLEAN_BATCH, device, views.clean)

    def batches(size: int) -> Iterator[Batch]:
        rows = TaskRows(positions, positions[:0], size, seed_of(seed, "memory"), task)
        threads = images.workers if isinstance(images, FileImages) else 1
        with closing(open_loader("auto", images, rows, views, device, threads)) as loader:
            yield from loader.epoch(0)

    draw_views = partial(views_of, draw_views=views)
    return TaskEnd(model, task, seed, batch_size, positions, clean_features, batches, draw_views)
