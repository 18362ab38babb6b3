"""One call trains one task: from a checkpoint (or nothing) to the next, resumable at every step."""

from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cassle.data.base import data_sets, read_index
from cassle.data.loader import TaskLoader
from cassle.data.streams import Stream, read_split
from cassle.data.views import Views
from cassle.errors import CheckpointError
from cassle.evaluation.features import extract_features
from cassle.files import fingerprint, read_json, write_json
from cassle.objectives.base import TaskStart
from cassle.options import differences, parse
from cassle.provenance import versions
from cassle.settings import Site, Training
from cassle.training.build import build_model, build_strategy, training_code
from cassle.training.checkpoints import Checkpoint, load_checkpoint, load_into, save_checkpoint
from cassle.training.learner import Learner
from cassle.training.lightning import pl
from cassle.training.model import Model, Teacher
from cassle.training.precision import resolve_device, resolve_precision
from cassle.training.records import Heartbeat, Metrics
from cassle.training.state import Position, StateFile, StopRequest, exclusive


@dataclass(frozen=True)
class TrainRequest:
    """What a training job is given: its settings, where it runs, and its files.

    ``spec`` is a `TrainJob.spec`; ``folder`` receives checkpoint.pt, train.json and metrics.jsonl; ``previous`` is the
    checkpoint of task t-1, absent for a first task.
    """

    spec: dict[str, Any]
    site: Site
    index: Path
    split: Path
    folder: Path
    previous: Path | None = None


def train_task(request: TrainRequest) -> None:
    """Train one task and write its outputs, the checkpoint last but for its record.

    Raises `CheckpointError` for a previous checkpoint that cannot be read or does not fit, `DivergenceError` for a loss
    that is not finite, and `Interrupted` after saving the state when asked to stop.
    """
    spec, site, execution = request.spec, request.site, request.site.execution
    torch.set_num_threads(execution.threads)
    stream = Stream(**spec["stream"])
    data_set = data_sets.get(stream.data_set)(**site.data.get(stream.data_set, {}))
    index = read_index(request.index)
    split = read_split(request.split)
    training = parse(Training, spec["training"], "training")
    model = build_model(spec, data_set.image_size, index.num_classes)
    strategy = build_strategy(spec, model)
    parent = load_parent(request, model, strategy)
    code = training_code(spec)
    meta = {"spec": spec, "code": code, "versions": versions(), "data": index.fingerprint, "parent": parent}
    key = fingerprint(meta)
    folder = request.folder
    with exclusive(folder):
        if finished(folder, key):
            print(f"{folder} was finished meanwhile by another process", flush=True)
            return
        device = resolve_device(execution.device)
        images = data_set.load(index, site.root, "train").to(device)
        tasks = torch.as_tensor(split.train_task)
        positions, labelled = (tasks == spec["task"]).nonzero().flatten(), (tasks >= 0).nonzero().flatten()
        loader = TaskLoader(images, positions, labelled, training.batch_size, spec["seed"], spec["task"], device)
        views = Views(training.views, data_set.mean, data_set.std)
        model.to(device), strategy.to(device)
        teacher = build_teacher(request, strategy, data_set.image_size, index.num_classes)
        state = StateFile(folder, key, execution.state_minutes)
        saved = state.load()
        position = Position(saved["epoch"], saved["step"], saved["seconds"]) if saved else Position()
        learner = Learner(model, strategy, teacher, training, loader, views, views.clean, position).to(device)
        if saved:
            print(f"resuming at epoch {position.epoch}, step {position.step}", flush=True)
            learner.restore(saved)
        else:
            model.objective.begin_task(
                TaskStart(
                    spec["task"],
                    spec["seed"],
                    lambda: (
                        positions.to(device),
                        extract_features(model.backbone, _Rows(images, positions), 256, device, views.clean),
                    ),
                )
            )
        precision = resolve_precision(execution.precision, device)
        heartbeat = Heartbeat(folder, {"task": spec["task"], "device": device_name(device)})
        learner.attach(state, Metrics(folder, position.epoch), heartbeat, StopRequest())
        fit(learner, precision, device)
        record = {
            **meta,
            "key": key,
            "device": device_name(device),
            "precision": precision,
            "threads": execution.threads,
            "loader": "device",
            "seconds": round(learner.seconds, 2),
            "images_per_second": round(learner.moment.steps * training.batch_size / learner.seconds, 1),
        }
        checkpoint = Checkpoint(_cpu(model), _cpu(strategy), meta)
        save_checkpoint(folder / "checkpoint.pt", checkpoint)
        write_json(folder / "train.json", {**record, "checkpoint": checkpoint.fingerprint})
        state.delete()
        heartbeat.end()


def fit(learner: Learner, precision: str, device: torch.device) -> None:
    """Run Lightning's Trainer from the learner's position to the last epoch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
    left = learner.training_settings.epochs - learner.position.epoch
    if left == 0:
        return
    modes = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
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


def load_parent(request: TrainRequest, model: Model, strategy: torch.nn.Module) -> str | None:
    """Load the previous task's checkpoint into the model and strategy; return its fingerprint."""
    if request.previous is None:
        return None
    previous = load_checkpoint(request.previous)
    made = previous.meta["spec"]
    for part in ("backbone", "objective"):
        if made[part]["name"] != request.spec[part]["name"]:
            raise CheckpointError(
                f"{request.previous} holds a {made[part]['name']} {part}, this task continues "
                f"{request.spec[part]['name']}; give the checkpoint of task {request.spec['task'] - 1} of the same run"
            )
    if made["strategy"] is not None and made["strategy"] != request.spec["strategy"]:
        other = ", ".join(differences(made["strategy"], request.spec["strategy"] or {}))
        raise CheckpointError(f"{request.previous} belongs to a run whose strategy differs in {other}")
    load_into(model, previous.model, str(request.previous))
    if made["strategy"] is not None:
        load_into(strategy, previous.strategy, f"the strategy of {request.previous}")
    return previous.fingerprint


def build_teacher(request: TrainRequest, strategy: Any, image_size: int, num_classes: int) -> Teacher | None:
    """Return the previous checkpoint as a frozen network, if the strategy wants one and there is one."""
    if request.previous is None or strategy.teacher_batchnorm is None:
        return None
    frozen = build_model(request.spec, image_size, num_classes)
    load_into(frozen, load_checkpoint(request.previous).model, str(request.previous))
    return Teacher(frozen, strategy.teacher_batchnorm)


def finished(folder: Path, key: str) -> bool:
    """Return whether a folder holds complete outputs of exactly this job."""
    record = folder / "train.json"
    return record.is_file() and (folder / "checkpoint.pt").is_file() and read_json(record).get("key") == key


def device_name(device: torch.device) -> str:
    """Return the device as results name it: the GPU's product name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _cpu(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu() for key, value in module.state_dict().items()}


class _Rows:
    """A part of a split, readable by position within it."""

    def __init__(self, images: Any, positions: torch.Tensor) -> None:
        self.images, self.positions = images, positions

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """Return the images (B, 3, H, W) uint8 at positions of the part."""
        return self.images.read(self.positions[index.to(self.positions.device)])  # type: ignore[no-any-return]
