"""How far a task's training is: its steps, its time, and the losses of the epoch that it is in."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from cassle import distributed
from cassle.errors import DivergenceError
from cassle.objectives.base import Moment
from cassle.training.records import Heartbeat, Metrics
from cassle.training.state import Position
from cassle.training.step import Losses

LOSSES = ("loss", "objective", "penalty", "online")


class Progress(nn.Module):
    """Counts from a position on, which it moves from epoch to epoch; whoever trains moves the steps.

    ``sums`` (4,) float64 of `LOSSES` over the steps of this epoch lie on the device, so that counting waits for
    nothing; a state in the middle of a task has them. A module, as the sums move with the network.
    """

    sums: Tensor

    def __init__(self, position: Position, steps_per_epoch: int, epochs: int, batch_size: int) -> None:
        super().__init__()
        self.position, self.batch_size = position, batch_size
        self.steps_per_epoch, self.epochs = steps_per_epoch, epochs
        self.last_loss: float | None = None
        self.register_buffer("sums", torch.zeros(len(LOSSES), dtype=torch.float64), persistent=False)
        self.start()

    def start(self) -> None:
        """Let the time count from now, on top of what was spent before."""
        self._started = time.monotonic() - self.position.seconds
        self.first_step, self.first_seconds = self.moment.step, self.position.seconds

    @property
    def moment(self) -> Moment:
        """Where the task stands."""
        epoch, steps = self.position.epoch, self.steps_per_epoch
        return Moment(epoch, epoch * steps + self.position.step, self.epochs, self.epochs * steps)

    @property
    def seconds(self) -> float:
        """Training time so far, over all interruptions."""
        return time.monotonic() - self._started

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

    def beat(self, heartbeat: Heartbeat) -> None:
        """Tell `cassle status` where the training stands."""
        self.check_finite()
        moment = self.moment
        done = moment.step / moment.steps
        images = (moment.step - self.first_step) * self.batch_size
        loss = self.sums[0].item() / self.position.step if self.position.step else None
        heartbeat.beat(
            epoch=moment.epoch,
            epochs=moment.epochs,
            done=round(done, 4),
            loss=round(loss, 4) if loss is not None else self.last_loss,
            images_per_second=round(images / (self.seconds - self.first_seconds), 1) if images else None,
            seconds_left=round(self.seconds * (1 - done) / done) if done else None,
        )

    def end_epoch(self, metrics: Metrics, lr: float) -> None:
        """Write the epoch's line of metrics and move on to the next epoch."""
        self.check_finite()
        means = [total / self.position.step for total in self.sums.tolist()]
        metrics.append({"epoch": self.position.epoch, **dict(zip(LOSSES, means, strict=True)), "lr": lr})
        self.sums.zero_()
        self.last_loss = round(means[0], 4)
        self.position.epoch, self.position.step = self.position.epoch + 1, 0
