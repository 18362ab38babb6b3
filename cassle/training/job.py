"""One call trains one task: from a checkpoint (or nothing) to the next, resumable at every step."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cassle.allocator import keep_freed_memory
from cassle.data.base import DataSet, InMemory, read_index
from cassle.data.file_images import FileImages, load_images
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.streams import Split, Stream, read_split
from cassle.data.views import Views
from cassle.distributed import agree, joined, primary, size
from cassle.errors import CheckpointError, SettingsError
from cassle.files import fingerprint, write_json
from cassle.launch import stop_signals
from cassle.locks import exclusive
from cassle.log import say
from cassle.models.checkpoints import Checkpoint, load_checkpoint, load_into, save_checkpoint
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.batchnorm import synchronise
from cassle.nets.features import Rows, extract_features
from cassle.objectives.base import TaskStart
from cassle.options import differences, parse
from cassle.provenance import versions
from cassle.settings.site import Site
from cassle.settings.training import Training
from cassle.strategies.base import Strategy
from cassle.training.build import build_model, build_strategy, training_code
from cassle.training.learner import Learner
from cassle.training.lightning import pl
from cassle.training.memories import check_memory, load_memory
from cassle.training.outputs import finished, keep, remove_leftovers, remove_traces, require_room
from cassle.training.parallel import Together
from cassle.training.precision import resolve_device, resolve_precision
from cassle.training.records import Heartbeat, Metrics
from cassle.training.state import Position, StateFile, StopRequest


@dataclass(frozen=True)
class TrainRequest:
    """What a training job is given: its settings, where it runs, and its files.

    ``spec`` is a `TrainJob.spec`; ``folder`` receives checkpoint.pt, train.json and metrics.jsonl; ``previous`` is the
    checkpoint of task t-1, absent for a first task; ``given`` a first task's checkpoint that is taken over as it is;
    ``memory`` what the strategy kept after task t-1, for strategies that keep something.
    """

    spec: dict[str, Any]
    site: Site
    index: Path
    split: Path
    folder: Path
    previous: Path | None = None
    given: Path | None = None
    memory: Path | None = None


Counted = Callable[[dict[str, Any], int, int], float | None]
"""Settings of a job, side of its images, number of classes -> operations per image; None where they are not known."""


def train_task(request: TrainRequest, counted: Counted | None = None) -> None:
    """Train one task and write its outputs, the checkpoint last but for its record.

    ``counted`` is asked once, after the training, how many operations an image took, for the record.
    Raises `CheckpointError` for a previous checkpoint that cannot be read or does not fit, `DivergenceError` for a loss
    that is not finite, and `Interrupted` after saving the state when asked to stop. If several processes train
    together, each makes this call, and the first one writes.
    """
    torch.set_num_threads(request.site.execution.threads)
    keep_freed_memory()
    with joined(resolve_device(request.site.execution.device)):
        task = assemble(request)
        with exclusive(request.folder) if primary() else nullcontext():
            if agree(primary() and found_finished(request, task)):
                return
            if request.given is not None:
                return take_over(request, task)
            with StopRequest(stop_signals()) as stop:
                learner = begin(request, task, stop)
                precision = resolve_precision(request.site.execution.precision, task.device)
                with closing(learner.loader):
                    fit(learner, precision, task.device)
                if primary():
                    write_outputs(request, task, learner, precision, counted)


def found_finished(request: TrainRequest, task: Task) -> bool:
    """Return whether somebody else has trained this very task; if not, there is room and order to do it."""
    remove_leftovers(request.folder)
    if finished(request.folder, task.key):
        say(f"{request.folder} was finished meanwhile by another process")
        remove_traces(request.folder)
        return True
    require_room(request.folder, task.bytes)
    return False


@dataclass(frozen=True)
class Task:
    """What a training works with; ``meta`` is everything that determines its result, ``key`` names it."""

    model: Model
    strategy: Strategy
    teacher: Teacher | None
    data_set: DataSet
    images: InMemory | FileImages
    split: Split
    device: torch.device
    meta: dict[str, Any]
    key: str

    @property
    def bytes(self) -> int:
        """What the checkpoint's tensors take."""
        return sum(value.nbytes for room in (self.model, self.strategy) for value in room.state_dict().values())


def assemble(request: TrainRequest) -> Task:
    """Read a job's files and build what they describe, on the device it runs on."""
    spec, site = request.spec, request.site
    stream = Stream(**spec["stream"])
    data_set = stream.open(site.data)
    index, split = read_index(request.index), read_split(request.split)
    model = build_model(spec, data_set.image_size, index.num_classes)
    strategy = build_strategy(spec, model)
    parent = load_parent(request.previous or request.given, spec, model, strategy)
    memory = recall(request, strategy, parent, index.fingerprint)
    teacher = build_teacher(request, strategy, data_set.image_size, index.num_classes)
    device = resolve_device(site.execution.device)
    images = load_images(data_set, index, site.root, "train", data_set.image_size, site.execution.threads)
    meta = {
        "spec": spec,
        "code": training_code(spec),
        "versions": versions(),
        "data": index.fingerprint,
        "parent": parent,
        "memory": memory,
    }
    model.to(device), strategy.to(device)
    synchronise(model, strategy, teacher)
    return Task(model, strategy, teacher, data_set, images, split, device, meta, fingerprint(meta))


def begin(request: TrainRequest, task: Task, stop: StopRequest) -> Learner:
    """Return the learner where it stands: at the saved state of exactly this training, or at the start."""
    spec, folder = request.spec, request.folder
    training = parse(Training, spec["training"], "training")
    tasks = torch.as_tensor(task.split.train_task)
    own, labelled = (tasks == spec["task"]).nonzero().flatten(), (tasks >= 0).nonzero().flatten()
    replay = task.strategy.replay if task.strategy.replays else None
    rows = TaskRows(own, labelled, training.batch_size, spec["seed"], spec["task"], replay)
    views = Views(training.views, task.data_set.mean, task.data_set.std)
    execution = request.site.execution
    loader = open_loader(execution.loader, task.images, rows, views, task.device, execution.threads)
    state = StateFile(folder, task.key, request.site.execution.state_minutes)
    saved = state.load()
    position = Position(saved["epoch"], saved["step"], saved["seconds"]) if saved else Position()
    drawn = (views, views.clean, views.last())
    learner = Learner(task.model, task.strategy, task.teacher, training, loader, *drawn, position).to(task.device)
    if saved:
        say(f"resuming at epoch {position.epoch}, step {position.step}")
        learner.restore(saved)
    else:

        def clean_features() -> tuple[Tensor, Tensor]:
            rows = Rows(loader.images, own.to(task.device))
            return own.to(task.device), extract_features(task.model.backbone, rows, 256, task.device, views.clean)

        task.model.objective.begin_task(TaskStart(spec["task"], spec["seed"], clean_features))
    heartbeat = Heartbeat(folder, {"task": spec["task"], "device": device_name(task.device)})
    metrics = Metrics(folder if primary() else None, saved["metrics"] if saved else None)
    learner.attach(state, metrics, heartbeat, stop)
    return learner


def write_outputs(
    request: TrainRequest, task: Task, learner: Learner, precision: str, counted: Counted | None = None
) -> None:
    """Write the checkpoint and its record; only then is the state of no use any more."""
    learner.metrics.write()
    images = learner.moment.steps * learner.training_settings.batch_size
    classes = task.model.classifier.out_features
    cost = None if counted is None else counted(request.spec, task.data_set.image_size, classes)
    facts = {
        "device": device_name(task.device),
        "precision": precision,
        "threads": request.site.execution.threads,
        "processes": size(),
        "loader": learner.loader.name,
        "seconds": round(learner.seconds, 2),
        "images_per_second": round(images / learner.seconds, 1),
        "flops": None if cost is None else round(images * cost),
        "states": learner.state.saves,
        "state_seconds": round(learner.state.seconds, 2),
    }
    write_result(request, task, facts)
    learner.state.delete()
    learner.heartbeat.end()


def write_result(request: TrainRequest, task: Task, facts: dict[str, Any]) -> None:
    """Write the checkpoint, and last its record: what made it and ``facts`` of how it was executed."""
    checkpoint = Checkpoint(_cpu(task.model), _cpu(task.strategy), task.meta)
    save_checkpoint(request.folder / "checkpoint.pt", checkpoint)
    record = {**task.meta, "key": task.key, **facts, "checkpoint": checkpoint.fingerprint}
    write_json(request.folder / "train.json", record)
    keep(request.folder)


def take_over(request: TrainRequest, task: Task) -> None:
    """Write a given first task's checkpoint as this job's; its record names it as the parent."""
    execution = dict.fromkeys(("device", "precision", "threads", "processes", "loader"), "given")
    write_result(request, task, {**execution, "seconds": 0.0, "images_per_second": None, "flops": 0})


def fit(learner: Learner, precision: str, device: torch.device) -> None:
    """Run Lightning's Trainer from the learner's position to the last epoch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\..*")
    left = learner.training_settings.epochs - learner.position.epoch
    if left == 0:
        return
    modes = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index] if device.type == "cuda" else 1,
        strategy=Together(device) if size() > 1 else "auto",
        precision=modes[precision],  # type: ignore[arg-type]
        max_epochs=left,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    steps = learner.moment
    trainer.fit(learner)
    if learner.position.epoch != steps.epochs:
        raise RuntimeError(f"trained {learner.position.epoch} of {steps.epochs} epochs")


def load_parent(path: Path | None, spec: dict[str, Any], model: Model, strategy: Strategy) -> str | None:
    """Load the checkpoint that a task goes on from into model and strategy; return its fingerprint."""
    if path is None:
        return None
    parent = load_checkpoint(path)
    made = parent.meta["spec"]
    for part in ("backbone", "objective"):
        if made[part]["name"] != spec[part]["name"]:
            raise CheckpointError(
                f"{path} holds a {made[part]['name']} {part}, this task continues {spec[part]['name']}; give a "
                "checkpoint of the same backbone and objective"
            )
    if made["strategy"] is not None and made["strategy"] != spec["strategy"]:
        other = ", ".join(differences(made["strategy"], spec["strategy"] or {}))
        raise CheckpointError(f"{path} belongs to a run whose strategy differs in {other}")
    load_into(model, parent.model, str(path))
    if made["strategy"] is not None:
        strategy.inherit(parent.strategy, f"the strategy of {path}")
    return parent.fingerprint


def recall(request: TrainRequest, strategy: Strategy, parent: str | None, data: str) -> str | None:
    """Hand the strategy what it kept after the task before; return the fingerprint of that memory."""
    spec = request.spec
    if not strategy.keeps_memory or spec["task"] == 0:
        return None
    if request.memory is None:
        raise SettingsError(
            f"strategy {spec['strategy']['name']} starts task {spec['task']} from the memory of the task before; make "
            "it with `cassle remember` and give it with --memory"
        )
    memory = load_memory(request.memory)
    check_memory(request.memory, memory, spec, parent, data)
    strategy.recall(memory.tensors)
    return memory.fingerprint


def build_teacher(request: TrainRequest, strategy: Strategy, image_size: int, num_classes: int) -> Teacher | None:
    """Return the previous checkpoint as a frozen network, if the strategy wants one and there is one."""
    if request.previous is None or strategy.teacher_batchnorm is None:
        return None
    frozen = build_model(request.spec, image_size, num_classes)
    load_into(frozen, load_checkpoint(request.previous).model, str(request.previous))
    return Teacher(frozen, strategy.teacher_batchnorm, strategy.teacher_network)


def device_name(device: torch.device) -> str:
    """Return the device as results name it: the GPU's product name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _cpu(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu() for key, value in module.state_dict().items()}
