"""How far a task's training is: its steps, its time, and the losses of the epoch that it is in."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cassle.contracts.layout import METRICS, PROGRESS
from cassle.contracts.records import EpochRecord, ProgressRecord, write_record
from cassle.core.errors import CassleError, DivergenceError
from cassle.core.files import write_text
from cassle.core.log import say
from cassle.objectives.base import Moment
from cassle.runtime import distributed
from cassle.training.state import Position
from cassle.training.step import Losses

PRINT_EVERY = 60.0
"""Seconds between two lines in a log."""


class Metrics:
    """``metrics.jsonl``: one JSON object per epoch; starts again from the lines that a restored state brings.

    No time is in it, so that an interrupted run ends in the same file as one that was not. Without a folder, which is
    the business of another process, nothing is written.
    """

    def __init__(self, folder: Path | None, lines: list[str] | None = None) -> None:
        self.path = None if folder is None else folder / METRICS
        self.lines = list(lines or [])
        self.write()

    def append(self, epoch: EpochRecord) -> None:
        """Add the line of an epoch; while the disk is full it is kept in memory only."""
        self.lines.append(json.dumps(epoch.as_json()))
        try:
            self.write()
        except CassleError as error:
            say(f"the metrics of this epoch are written later: {error}")

    def write(self) -> None:
        """Write all lines, completely or not at all."""
        if self.path is not None:
            write_text(self.path, "".join(f"{line}\n" for line in self.lines))


class Heartbeat:
    """``progress.json``, rewritten every few seconds: where the training stands, how fast, on what."""

    def __init__(self, folder: Path, task: int, device: str, every: float = 5.0) -> None:
        self.path = folder / PROGRESS
        self.start = ProgressRecord(
            task=task, device=device, host=os.uname().nodename, pid=os.getpid(), updated=time.time()
        )
        self.every = every
        self._last = -math.inf
        self._printed = time.monotonic()

    def due(self) -> bool:
        """Return whether the last beat is old enough for another one."""
        return time.monotonic() - self._last >= self.every

    def beat(self, **values: Any) -> None:
        """Write the heartbeat, unless the disk is full, and a line to a log now and then."""
        self._last = time.monotonic()
        with suppress(CassleError):
            write_record(self.path, self.start.model_copy(update={**values, "updated": time.time()}))
        if not sys.stderr.isatty() and self._last - self._printed >= PRINT_EVERY:
            self._printed = self._last
            say(", ".join(f"{key} {value}" for key, value in values.items()))

    def end(self) -> None:
        """Remove the heartbeat: the outputs tell the rest."""
        self.path.unlink(missing_ok=True)


LOSSES = ("loss", "objective", "penalty", "online")


class Progress(nn.Module):
    """Counts from a position, which it moves from epoch to epoch; the training moves the steps.

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
        self.sums += distributed.all_reduce_sum(own) / distributed.size()

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
        metrics.append(EpochRecord(epoch=self.position.epoch, **dict(zip(LOSSES, means, strict=True)), lr=lr))
        self.sums.zero_()
        self.last_loss = round(means[0], 4)
        self.position.epoch, self.position.step = self.position.epoch + 1, 0
