"""The state of a training in the middle of a task, and the signals that ask for it.

It lies beside the outputs but is none of them, since Snakemake deletes the outputs of a job that fails. Nothing about
randomness is in it: every draw derives from (seed, task, epoch, step).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from cassle.contracts.layout import STATE
from cassle.core.errors import CassleError, CheckpointError
from cassle.core.files import load_tensors, save_tensors
from cassle.core.log import say
from cassle.runtime.signals import STOPPING


@dataclass
class Position:
    """Where a task's training stands: ``epoch`` and ``step`` within it are the next ones to do."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    """Training time spent so far, over all interruptions."""


class StateFile:
    """Saves and restores the state of one training; a state of other settings, parents or code is never used."""

    def __init__(self, folder: Path, key: str, minutes: float) -> None:
        self.path = folder / STATE
        self.key = key
        self.interval = minutes * 60
        self.saves = 0
        self.seconds = 0.0
        """Time that the saves of this process took."""
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Return whether the chosen interval has passed since the last save."""
        return time.monotonic() - self._saved >= self.interval

    def save(self, value: dict[str, Any]) -> bool:
        """Write the state, completely or not at all; returns whether there was room.

        A state is an insurance: without it a training loses time if it is stopped, so that a full disk is no reason to
        stop it. The next try is due after the usual interval.
        """
        began = time.monotonic()
        try:
            save_tensors(self.path, {"key": self.key, **value})
        except CassleError as error:
            say(f"no state is saved, an earlier one is kept: {error}")
            return False
        finally:
            self._saved = time.monotonic()
        self.saves, self.seconds = self.saves + 1, self.seconds + self._saved - began
        return True

    def load(self) -> dict[str, Any] | None:
        """Return the state to go on from, or None; says so and deletes it if it is damaged or of another training."""
        if not self.path.is_file():
            return None
        try:
            value = load_tensors(self.path)
        except CheckpointError as error:
            say(f"state {self.path} is damaged and is deleted; this task starts again ({error})")
            self.delete()
            return None
        if not isinstance(value, dict) or value.get("key") != self.key:
            say(f"state {self.path} was made with other settings, parents or code and is deleted")
            self.delete()
            return None
        return value

    def delete(self) -> None:
        """Remove the state, if there is one."""
        self.path.unlink(missing_ok=True)


class StopRequest:
    """While it is open, the first of `STOPPING` asks to save and stop; the second one ends the process at once.

    A signal that is ignored, as under nohup, stays so.

    ``signals``: what is listened to instead, and which of `STOPPING` each stands for.
    """

    def __init__(self, signals: Mapping[int, int] | None = None) -> None:
        self.signal: int | None = None
        self.signals = signals or {number: number for number in STOPPING}
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        held = {number: signal.getsignal(number) for number in self.signals}
        self._before = {number: handler for number, handler in held.items() if handler is not signal.SIG_IGN}
        self.listen()
        return self

    def listen(self) -> None:
        """Replace the present handlers of the signals."""
        for number in self._before:
            signal.signal(number, self._receive)

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        number = self.signals[number]
        if self.signal is not None:
            sys.exit(128 + number)
        self.signal = number
        say(f"received {signal.Signals(number).name}: saving the state after this step")
