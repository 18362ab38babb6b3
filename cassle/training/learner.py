"""The LightningModule around the step: it only calls functions that can be tested without it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle import distributed
from cassle.data.loaders import Loader
from cassle.errors import DivergenceError, Interrupted
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.objectives.base import Group, Moment
from cassle.settings.training import Training
from cassle.strategies.base import Strategy
from cassle.tensors.batch import Batch
from cassle.training.lightning import pl
from cassle.training.optim import build_optimizer
from cassle.training.records import Heartbeat, Metrics
from cassle.training.schedules import set_learning_rates
from cassle.training.state import Position, StateFile, StopRequest
from cassle.training.step import Losses, training_step

LOSSES = ("loss", "objective", "penalty", "online")
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
        self.last_loss: float | None = None
        self.sums: Tensor
        self.register_buffer("sums", torch.zeros(len(LOSSES), dtype=torch.float64), persistent=False)

    def attach(self, state: StateFile, metrics: Metrics, heartbeat: Heartbeat, stop: StopRequest) -> None:
        """Connect the learner to its files and to the signals that may stop it."""
        self.state, self.metrics, self.heartbeat, self.stop = state, metrics, heartbeat, stop
        self._started = time.monotonic() - self.position.seconds
        self.first_step, self.first_seconds = self.moment.step, self.position.seconds

    # What is optimised

    def groups(self) -> list[Group]:
        """Return all trainable parameters as groups."""
        return [
            Group("backbone", list(self.model.backbone.parameters())),
            *self.model.objective.groups(),
            *self.strategy.groups(),
            Group("classifier", list(self.model.classifier.parameters())),
        ]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of a fresh task; the schedule is a function of the epoch and holds no state."""
        settings = self.training_settings
        overrides = {"classifier": {"lr": settings.classifier_lr, "weight_decay": 0.0}}
        return build_optimizer(settings.optimizer, self.groups(), settings.batch_size, overrides)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The one optimiser, without Lightning's wrapping."""
        return cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))

    def online_loss(self, batch: Batch) -> Tensor:
        """Return the classifier's cross-entropy on labelled images of all tasks, on detached features.

        With ``online_batch`` apart, the images are unaugmented and pass through the backbone in evaluation mode, so
        that its BatchNorm statistics never see them. With shared they are augmented like the last view of ``batch`` and
        pass in training mode, after the views, as in the original release.
        """
        images, labels = self.loader.online_batch(self.position.epoch, self.position.step)
        shared = self.training_settings.online_batch == "shared"
        with torch.autocast(images.device.type, enabled=False):
            share = distributed.Share(self.training_settings.batch_size)
            rows = replace(batch, images=images, replayed=0, share=share)
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
        self.record(losses, online.detach())
        return self.training_settings.gradient_scale * losses.total + online

    # What surrounds the optimiser's step

    @property
    def moment(self) -> Moment:
        """Where the task stands."""
        steps = self.loader.steps_per_epoch
        epoch, epochs = self.position.epoch, self.training_settings.epochs
        return Moment(epoch, epoch * steps + self.position.step, epochs, epochs * steps)

    def on_train_start(self) -> None:
        """Take signals over from Lightning, which would end the training without saving; tell that it has begun."""
        self.stop.listen()
        if distributed.primary():
            self.beat()

    def on_train_epoch_start(self) -> None:
        """Set what depends on the epoch, the same in all processes."""
        settings = self.training_settings
        set_learning_rates(self.optimizer, settings.schedule, self.position.epoch, settings.epochs)
        self.model.objective.begin_epoch(self.moment)
        distributed.follow_first(self.model.buffers())

    def on_after_backward(self) -> None:
        """Let the objective change gradients."""
        self.model.objective.after_backward(self.moment)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move what follows the weights; save the state when it is due or asked for; never train on a NaN."""
        self.model.objective.after_step(self.model.backbone, self.moment)
        self.position.step += 1
        if self.position.step == self.loader.steps_per_epoch:
            self.end_epoch()
        elif self.position.step % CHECK_EVERY == 0:
            self.check_finite()
        if number := distributed.agree(self.stop.signal or 0):
            where = "there" if self.save() else "the last state that could be saved"
            raise Interrupted(
                f"stopped at epoch {self.position.epoch}, step {self.position.step}; the same command goes on from "
                f"{where}",
                128 + number,
            )
        if self.state.due():
            self.save()
        if distributed.primary() and self.heartbeat.due():
            self.beat()

    def beat(self) -> None:
        """Tell `cassle status` where the training stands."""
        self.check_finite()
        moment = self.moment
        done = moment.step / moment.steps
        images = (moment.step - self.first_step) * self.training_settings.batch_size
        loss = self.sums[0].item() / self.position.step if self.position.step else None
        self.heartbeat.beat(
            epoch=moment.epoch,
            epochs=moment.epochs,
            done=round(done, 4),
            loss=round(loss, 4) if loss is not None else self.last_loss,
            images_per_second=round(images / (self.seconds - self.first_seconds), 1) if images else None,
            seconds_left=round(self.seconds * (1 - done) / done) if done else None,
        )

    def end_epoch(self) -> None:
        """Write the epoch's line of metrics and move on to the next epoch."""
        self.check_finite()
        means = [total / self.position.step for total in self.sums.tolist()]
        lr = self.optimizer.param_groups[0]["lr"]
        self.metrics.append({"epoch": self.position.epoch, **dict(zip(LOSSES, means, strict=True)), "lr": lr})
        self.sums.zero_()
        self.last_loss = round(means[0], 4)
        self.position.epoch, self.position.step = self.position.epoch + 1, 0

    def record(self, losses: Losses, online: Tensor) -> None:
        """Add the losses of a step, the mean of all processes, to the sums of the epoch; waits for no device."""
        zero = torch.zeros_like(online)
        penalty = zero if losses.penalty is None else losses.penalty
        own = torch.stack([losses.total.detach(), losses.objective, penalty, online]).to(self.sums.dtype)
        self.sums += distributed.total(own) / distributed.size()

    def check_finite(self) -> None:
        """Raise `DivergenceError` if a loss of this epoch was NaN or infinite."""
        if not bool(torch.isfinite(self.sums).all()):
            sums = dict(zip(LOSSES, self.sums.tolist(), strict=True))
            bad = ", ".join(name for name, value in sums.items() if not abs(value) < float("inf"))
            raise DivergenceError(
                f"the {bad} is NaN or infinite in epoch {self.position.epoch}, up to step {self.position.step}; no "
                "checkpoint was written. Lower the learning rate (training.optimizer.lr) or raise the precision "
                "(execution={precision: fp32}); finished tasks are kept"
            )

    # State in the middle of a task

    @property
    def seconds(self) -> float:
        """Training time so far, over all interruptions."""
        return time.monotonic() - self._started

    def save(self) -> bool:
        """Save everything that a resumed training needs to end in the same tensors; a loss that is NaN is not saved.

        The teacher is not part of it: what drifts in one are statistics that it does not normalise with. It is the same
        in all processes, and the first one writes it. Returns whether there was room for it.
        """
        self.check_finite()
        if not distributed.primary():
            return True
        self.position.seconds = self.seconds
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return self.state.save(
            {
                "model": self.model.state_dict(),
                "strategy": self.strategy.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                "sums": self.sums,
                "metrics": self.metrics.lines,
                "epoch": self.position.epoch,
                "step": self.position.step,
                "seconds": self.position.seconds,
            }
        )

    def restore(self, value: dict[str, Any]) -> None:
        """Take over a saved state before training starts; the optimiser's part follows in `on_fit_start`."""
        self.model.load_state_dict(value["model"])
        self.strategy.load_state_dict(value["strategy"])
        self.sums.copy_(value["sums"])
        self._restored = value

    def on_fit_start(self) -> None:
        """Restore the optimiser, once it exists and its parameters are where they will be trained."""
        restored = getattr(self, "_restored", None)
        if restored is not None:
            self.optimizer.load_state_dict(restored["optimizer"])
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)
            if scaler is not None and restored["scaler"] is not None:
                scaler.load_state_dict(restored["scaler"])

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
