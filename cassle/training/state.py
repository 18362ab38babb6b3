"""The state of a training in the middle of a task, and who may go on from it.

It lies beside the outputs but is none of them, since Snakemake deletes the outputs of a job that fails. Nothing about
randomness is in it: every draw derives from (seed, task, epoch, step).
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from cassle.errors import CassleError, CheckpointError
from cassle.files import load_tensors, save_tensors


class Interrupted(CassleError):
    """A training that was asked to stop and has saved its state; ``exit_code`` is 128 + the signal's number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


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
        self.path = folder / "state.pt"
        self.key = key
        self.interval = minutes * 60
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Return whether the chosen interval has passed since the last save."""
        return time.monotonic() - self._saved >= self.interval

    def save(self, value: dict[str, Any]) -> None:
        """Write the state, completely or not at all."""
        save_tensors(self.path, {"key": self.key, **value})
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state to go on from, or None; says so and deletes it if it is damaged or of another training."""
        if not self.path.is_file():
            return None
        try:
            value = load_tensors(self.path)
        except CheckpointError as error:
            print(f"state {self.path} is damaged and is deleted; this task starts again ({error})", flush=True)
            self.delete()
            return None
        if not isinstance(value, dict) or value.get("key") != self.key:
            print(f"state {self.path} was made with other settings, parents or code and is deleted", flush=True)
            self.delete()
            return None
        return value

    def delete(self) -> None:
        """Remove the state, if there is one."""
        self.path.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against any other trainer of this machine; waits, saying so, while one is still at work."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            print(f"waiting for process {lock.read().strip() or '?'}, which still trains {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class StopRequest:
    """While it is open, the first SIGTERM or SIGINT asks to save and stop; the second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            sys.exit(128 + number)
        self.signal = number
        print(f"received {signal.Signals(number).name}: saving the state after this step", flush=True)
