"""What a training works with: a job's files read, and the network, strategy and teacher that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cassle.contracts.records import Provenance
from cassle.contracts.specs import TrainSpec
from cassle.core.errors import CheckpointError, SettingsError
from cassle.core.options import differences
from cassle.core.provenance import versions
from cassle.data.base import Dataset, InMemory, read_index
from cassle.data.file_images import FileImages, load_images
from cassle.data.splits import Split, read_split
from cassle.models.checkpoints import load_checkpoint, load_into
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.batchnorm import synchronize
from cassle.settings.site import Site
from cassle.strategies.base import Strategy
from cassle.training.build import build_model, build_strategy, training_code
from cassle.training.memory import check_memory, load_memory
from cassle.training.precision import resolve_device


@dataclass(frozen=True)
class TrainRequest:
    """What a training job is given: its settings, where it runs, and its files.

    ``folder`` receives checkpoint.pt, train.json and metrics.jsonl; ``previous`` is the checkpoint of task t-1, absent
    for a first task; ``first_checkpoint`` one that is taken over as the first task's; ``memory`` what the strategy kept
    after task t-1, for strategies that keep a memory.
    """

    spec: TrainSpec
    site: Site
    index: Path
    split: Path
    folder: Path
    previous: Path | None = None
    first_checkpoint: Path | None = None
    memory: Path | None = None


@dataclass(frozen=True)
class Task:
    """What a training works with; ``provenance`` is everything that determines its result."""

    model: Model
    strategy: Strategy
    teacher: Teacher | None
    dataset: Dataset
    images: InMemory | FileImages
    split: Split
    device: torch.device
    provenance: Provenance

    @property
    def bytes(self) -> int:
        """What the checkpoint's tensors take."""
        return sum(value.nbytes for room in (self.model, self.strategy) for value in room.state_dict().values())


def assemble(request: TrainRequest) -> Task:
    """Read a job's files and build what they describe, on the device it runs on."""
    spec, site = request.spec, request.site
    dataset = spec.stream.open(site.data)
    index, split = read_index(request.index), read_split(request.split)
    model = build_model(spec, dataset.image_size, index.num_classes)
    strategy = build_strategy(spec, model)
    parent = load_parent(request.previous or request.first_checkpoint, spec, model, strategy)
    memory = restore_memory(request, strategy, parent, index.fingerprint)
    teacher = build_teacher(request, strategy, dataset.image_size, index.num_classes)
    device = resolve_device(site.execution.device)
    images = load_images(dataset, index, site.root, "train", dataset.image_size, site.execution.threads)
    provenance = Provenance(
        spec=spec,
        code=training_code(spec),
        versions=versions(),
        data=index.fingerprint,
        parent=parent,
        memory=memory,
    )
    model.to(device)
    strategy.to(device)
    synchronize(model, strategy, teacher)
    return Task(model, strategy, teacher, dataset, images, split, device, provenance)


def load_parent(path: Path | None, spec: TrainSpec, model: Model, strategy: Strategy) -> str | None:
    """Load the checkpoint that a task starts from into model and strategy; return its fingerprint."""
    if path is None:
        return None
    parent = load_checkpoint(path)
    made = parent.provenance.spec
    for kind, held, wanted in (
        ("backbone", made.backbone, spec.backbone),
        ("objective", made.objective, spec.objective),
    ):
        if held.name != wanted.name:
            raise CheckpointError(
                f"{path} holds a {held.name} {kind}, this task continues {wanted.name}; give a checkpoint of the same "
                "backbone and objective"
            )
    if made.strategy is not None and made.strategy != spec.strategy:
        own = {} if spec.strategy is None else spec.strategy.model_dump()
        other = ", ".join(differences(made.strategy.model_dump(), own))
        raise CheckpointError(f"{path} belongs to a run whose strategy differs in {other}")
    load_into(model, parent.model, str(path))
    if made.strategy is not None:
        strategy.load_previous(parent.strategy, f"the strategy of {path}")
    return parent.fingerprint


def restore_memory(request: TrainRequest, strategy: Strategy, parent: str | None, data: str) -> str | None:
    """Hand the strategy what it kept after the task before; return the fingerprint of that memory."""
    spec = request.spec
    if spec.strategy is None or not strategy.keeps_memory or spec.task == 0:
        return None
    if request.memory is None:
        raise SettingsError(
            f"strategy {spec.strategy.name} starts task {spec.task} from the memory of the task before; make "
            "it with `cassle build_memory` and give it with --memory"
        )
    memory = load_memory(request.memory)
    check_memory(request.memory, memory, spec, parent, data)
    strategy.load_memory(memory.tensors)
    return memory.fingerprint


def build_teacher(request: TrainRequest, strategy: Strategy, image_size: int, num_classes: int) -> Teacher | None:
    """Return the previous checkpoint as a frozen network, if the strategy wants one and there is one."""
    if request.previous is None or strategy.teacher_batchnorm is None:
        return None
    frozen = build_model(request.spec, image_size, num_classes)
    load_into(frozen, load_checkpoint(request.previous).model, str(request.previous))
    return Teacher(frozen, strategy.teacher_batchnorm, strategy.teacher_network)
