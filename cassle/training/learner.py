"""The LightningModule around the step: it only calls functions that can be tested without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.core.errors import Interrupted
from cassle.data.loaders import Loader
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.objectives.base import Group, Moment
from cassle.runtime import distributed
from cassle.settings.recipe import Training
from cassle.strategies.base import Strategy
from cassle.tensors.batch import Batch
from cassle.training.lightning import pl
from cassle.training.optim import build_optimizer, set_learning_rates
from cassle.training.progress import Heartbeat, Metrics, Progress
from cassle.training.state import Position, StateFile, StopRequest
from cassle.training.step import training_step

CHECK_EVERY = 50
"""Steps between two looks at whether the loss is still finite; each look waits for the device."""


class Learner(pl.LightningModule):
    """Trains one task from a position to its end."""

    def __init__(
        self,
        model: Model,
        strategy: Strategy,
        teacher: Teacher | None,
        training: Training,
        loader: Loader,
        draw_views: Callable[[Batch], list[Tensor]],
        clean: Callable[[Tensor], Tensor],
        last_view: Callable[[Batch], list[Tensor]],
        position: Position,
    ) -> None:
        super().__init__()
        self.model, self.strategy = model, strategy
        self.teacher = teacher
        self.training_settings = training
        self.loader, self.draw_views, self.clean, self.last_view = loader, draw_views, clean, last_view
        self.position = position
        self.progress = Progress(position, loader.steps_per_epoch, training.epochs, training.batch_size)
        self.restored: dict[str, Any] | None = None

    def attach(self, state: StateFile, metrics: Metrics, heartbeat: Heartbeat, stop: StopRequest) -> None:
        """Connect the learner to its files and to the signals that may stop it; its time counts from here."""
        self.state, self.metrics, self.heartbeat, self.stop = state, metrics, heartbeat, stop
        self.progress.start()

    # What is optimized

    def groups(self) -> list[Group]:
        """Return all trainable parameters as groups."""
        return [
            Group("backbone", list(self.model.backbone.parameters())),
            *self.model.objective.groups(),
            *self.strategy.groups(),
            Group("classifier", list(self.model.classifier.parameters())),
        ]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of a fresh task; the schedule is a function of the epoch and holds no state."""
        settings = self.training_settings
        overrides = {"classifier": {"lr": settings.classifier_lr, "weight_decay": 0.0}}
        return build_optimizer(settings.optimizer, self.groups(), settings.batch_size, overrides)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The one optimizer, without Lightning's wrapping."""
        return cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))

    def online_loss(self, batch: Batch) -> Tensor:
        """Return the classifier's cross-entropy on labeled images of all tasks, on detached features.

        With ``online_batch`` apart, the images are unaugmented and pass through the backbone in evaluation mode, so
        that its BatchNorm statistics never see them. With shared they are augmented like the last view of ``batch`` and
        pass in training mode, after the views, as in the original release.
        """
        images, labels = self.loader.online_batch(self.position.epoch, self.position.step)
        shared = self.training_settings.online_batch == "shared"
        with torch.autocast(images.device.type, enabled=False):
            shard = distributed.RankShard(self.training_settings.batch_size)
            rows = replace(batch, images=images, replayed=0, shard=shard)
            seen = self.last_view(rows)[0] if shared else self.clean(images)
        backbone = self.model.backbone
        backbone.train(shared)
        with torch.no_grad():
            features = backbone(seen)
        backbone.train()
        return F.cross_entropy(self.model.classifier(features), labels)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return what gradients are taken of: the pure step's loss, scaled, and the online classifier's beside it."""
        group = self.training_settings.loss_group
        losses, _ = training_step(batch, self.draw_views, self.model, self.strategy, self.teacher, group)
        online = self.online_loss(batch)
        self.progress.record(losses, online.detach())
        return self.training_settings.gradient_scale * losses.total + online

    # What surrounds the optimizer's step

    @property
    def moment(self) -> Moment:
        """Where the task stands."""
        return self.progress.moment

    def on_train_start(self) -> None:
        """Take signals over from Lightning, which would end the training without saving; tell that it has begun."""
        self.stop.listen()
        if distributed.primary():
            self.progress.beat(self.heartbeat)

    def on_train_epoch_start(self) -> None:
        """Set what depends on the epoch, the same in all processes."""
        settings = self.training_settings
        set_learning_rates(self.optimizer, settings.schedule, self.position.epoch, settings.epochs)
        self.model.objective.begin_epoch(self.moment)
        distributed.broadcast_from_first(self.model.buffers())

    def on_after_backward(self) -> None:
        """Let the objective change gradients."""
        self.model.objective.after_backward(self.moment)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move what follows the weights; save the state when it is due or asked for; never train on a NaN."""
        self.model.objective.after_step(self.model.backbone, self.moment)
        self.position.step += 1
        if self.position.step == self.loader.steps_per_epoch:
            self.progress.end_epoch(self.metrics, self.optimizer.param_groups[0]["lr"])
        elif self.position.step % CHECK_EVERY == 0:
            self.progress.check_finite()
        if number := distributed.all_reduce_max(self.stop.signal or 0):
            where = "there" if self.save() else "the last state that could be saved"
            raise Interrupted(
                f"stopped at epoch {self.position.epoch}, step {self.position.step}; the same command resumes from "
                f"{where}",
                128 + number,
            )
        if self.state.due():
            self.save()
        if distributed.primary() and self.heartbeat.due():
            self.progress.beat(self.heartbeat)

    # State in the middle of a task

    def save(self) -> bool:
        """Save everything that a resumed training needs to end in the same tensors; a loss that is NaN is not saved.

        The teacher is not part of it: what drifts in one are statistics that it does not normalize with. It is the same
        in all processes, and the first one writes it. Returns whether there was room for it.
        """
        self.progress.check_finite()
        if not distributed.primary():
            return True
        self.position.seconds = self.progress.seconds
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return self.state.save(
            {
                "model": self.model.state_dict(),
                "strategy": self.strategy.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                "sums": self.progress.sums,
                "metrics": self.metrics.lines,
                "epoch": self.position.epoch,
                "step": self.position.step,
                "seconds": self.position.seconds,
            }
        )

    def restore(self, value: dict[str, Any]) -> None:
        """Take over a saved state before training starts; the optimizer's part follows in `on_fit_start`."""
        self.model.load_state_dict(value["model"])
        self.strategy.load_state_dict(value["strategy"])
        self.progress.sums.copy_(value["sums"])
        self.restored = value

    def on_fit_start(self) -> None:
        """Restore the optimizer, once it exists and its parameters are where they will be trained."""
        if self.restored is not None:
            self.optimizer.load_state_dict(self.restored["optimizer"])
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)
            if scaler is not None and self.restored["scaler"] is not None:
                scaler.load_state_dict(self.restored["scaler"])

    def train_dataloader(self) -> Any:
        """Return an iterable of the batches of whatever epoch the task stands at."""
        return _Epochs(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave batches alone: they are made on the device."""
        return batch


class _Epochs:
    """Iterates the rest of the learner's current epoch, each time it is asked."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def __len__(self) -> int:
        return self.learner.loader.steps_per_epoch

    def __iter__(self) -> Any:
        position = self.learner.position
        return self.learner.loader.epoch(position.epoch, position.step)
