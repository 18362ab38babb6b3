"""One call trains one task: from a checkpoint (or nothing) to the next, resumable at every step."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext

import torch
from torch import Tensor

from cassle.contracts.layout import CHECKPOINT, GIVEN, RECORD
from cassle.contracts.records import TrainExecution, TrainRecord, write_record
from cassle.contracts.specs import TrainSpec
from cassle.core.log import say
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.views import Views
from cassle.models.checkpoints import Checkpoint, save_checkpoint
from cassle.nets.features import CLEAN_BATCH, Subset, extract_features
from cassle.objectives.base import TaskStart
from cassle.runtime.allocator import keep_freed_memory
from cassle.runtime.distributed import all_reduce_max, primary, process_group, size
from cassle.runtime.launch import stop_signals
from cassle.runtime.locks import exclusive
from cassle.training.learner import Learner
from cassle.training.lightning import pl
from cassle.training.parallel import Together
from cassle.training.precision import device_name, resolve_device, resolve_precision
from cassle.training.progress import Heartbeat, Metrics
from cassle.training.result_files import finished, keep, remove_leftovers, remove_traces, require_room
from cassle.training.state import Position, StateFile, StopRequest
from cassle.training.task import Task, TrainRequest, assemble

Counted = Callable[[TrainSpec, int, int], float | None]
"""Specification, side of the images, number of classes -> operations per image; None where they are not known."""


def train_task(request: TrainRequest, counted: Counted | None = None) -> None:
    """Train one task and write its outputs, the checkpoint last but for its record.

    ``counted`` is asked once, after the training, how many operations an image took, for the record.
    Raises `CheckpointError` for a previous checkpoint that cannot be read or does not fit, `DivergenceError` for a loss
    that is not finite, and `Interrupted` after saving the state when asked to stop. If several processes train
    together, each makes this call, and the first one writes.
    """
    torch.set_num_threads(request.site.execution.threads)
    keep_freed_memory()
    with process_group(resolve_device(request.site.execution.device)):
        task = assemble(request)
        with exclusive(request.folder) if primary() else nullcontext():
            if all_reduce_max(primary() and prepare_folder(request, task)):
                return
            if request.first_checkpoint is not None:
                return take_over(request, task)
            with StopRequest(stop_signals()) as stop:
                learner = begin(request, task, stop)
                precision = resolve_precision(request.site.execution.precision, task.device)
                with closing(learner.loader):
                    fit(learner, precision, task.device)
                if primary():
                    write_outputs(request, task, learner, precision, counted)


def prepare_folder(request: TrainRequest, task: Task) -> bool:
    """Clean a job's folder; return whether another process has trained this task, else check the disk space."""
    remove_leftovers(request.folder)
    if finished(request.folder, task.provenance.key):
        say(f"{request.folder} was finished meanwhile by another process")
        remove_traces(request.folder)
        return True
    require_room(request.folder, task.bytes)
    return False


def begin(request: TrainRequest, task: Task, stop: StopRequest) -> Learner:
    """Return the learner where it stands: at the saved state of exactly this training, or at the start."""
    spec, folder = request.spec, request.folder
    training = spec.training
    tasks = torch.as_tensor(task.split.train_task)
    own, labeled = (tasks == spec.task).nonzero().flatten(), (tasks >= 0).nonzero().flatten()
    replay = task.strategy.replay if task.strategy.replays else None
    rows = TaskRows(own, labeled, training.batch_size, spec.seed, spec.task, replay)
    views = Views(training.views, task.dataset.mean, task.dataset.std)
    execution = request.site.execution
    loader = open_loader(execution.loader, task.images, rows, views, task.device, execution.threads)
    state = StateFile(folder, task.provenance.key, request.site.execution.state_minutes)
    saved = state.load()
    position = Position(saved["epoch"], saved["step"], saved["seconds"]) if saved else Position()
    learner = Learner(
        task.model,
        task.strategy,
        task.teacher,
        training,
        loader,
        draw_views=views,
        clean=views.clean,
        last_view=views.last(),
        position=position,
    ).to(task.device)
    if saved:
        say(f"resuming at epoch {position.epoch}, step {position.step}")
        learner.restore(saved)
    else:

        def clean_features() -> tuple[Tensor, Tensor]:
            rows = Subset(loader.images, own.to(task.device))
            return own.to(task.device), extract_features(
                task.model.backbone, rows, CLEAN_BATCH, task.device, views.clean
            )

        task.model.objective.begin_task(TaskStart(spec.task, spec.seed, clean_features))
    heartbeat = Heartbeat(folder, spec.task, device_name(task.device))
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
    cost = None if counted is None else counted(request.spec, task.dataset.image_size, classes)
    execution = TrainExecution(
        device=device_name(task.device),
        precision=precision,
        threads=request.site.execution.threads,
        processes=size(),
        loader=learner.loader.name,
        seconds=round(learner.progress.seconds, 2),
        images_per_second=round(images / learner.progress.seconds, 1),
        flops=None if cost is None else round(images * cost),
        states=learner.state.saves,
        state_seconds=round(learner.state.seconds, 2),
    )
    write_result(request, task, execution)
    learner.state.delete()
    learner.heartbeat.end()


def write_result(request: TrainRequest, task: Task, execution: TrainExecution) -> None:
    """Write the checkpoint, and last its record."""
    checkpoint = Checkpoint(_cpu(task.model), _cpu(task.strategy), task.provenance)
    save_checkpoint(request.folder / CHECKPOINT, checkpoint)
    record = TrainRecord(**dict(task.provenance), **dict(execution), checkpoint=checkpoint.fingerprint)
    write_record(request.folder / RECORD, record)
    keep(request.folder)


def take_over(request: TrainRequest, task: Task) -> None:
    """Write an explicit first checkpoint as this job's; its record names it as the parent."""
    execution = TrainExecution(
        device=GIVEN,
        precision=GIVEN,
        threads=GIVEN,
        processes=GIVEN,
        loader=GIVEN,
        seconds=0.0,
        images_per_second=None,
        flops=0,
    )
    write_result(request, task, execution)


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
    trainer.fit(learner)
    if learner.position.epoch != (epochs := learner.training_settings.epochs):
        raise RuntimeError(f"trained {learner.position.epoch} of {epochs} epochs")


def _cpu(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu() for key, value in module.state_dict().items()}
