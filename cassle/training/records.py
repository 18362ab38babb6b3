"""What a training tells while it runs: one line of metrics per epoch, and a heartbeat for `cassle status`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cassle.files import write_json


class Metrics:
    """``metrics.jsonl``: one JSON object per epoch, cut back to the restored epoch when a training resumes.

    No time is in it, so that an interrupted run ends in the same file as one that was not.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.path = folder / "metrics.jsonl"
        kept = self.path.read_text().splitlines()[:epoch] if epoch and self.path.is_file() else []
        self.path.write_text("".join(f"{line}\n" for line in kept))

    def append(self, values: dict[str, Any]) -> None:
        """Add the line of an epoch."""
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")


class Heartbeat:
    """``progress.json``, rewritten every few seconds: where the training stands, how fast, on what."""

    def __init__(self, folder: Path, constants: dict[str, Any], every: float = 5.0) -> None:
        self.path = folder / "progress.json"
        self.constants = {**constants, "pid": os.getpid(), "started": time.time()}
        self.every = every
        self._last = 0.0
        self._printed = time.monotonic()

    def beat(self, **values: Any) -> None:
        """Write the heartbeat if the last one is old enough, and a line to a log now and then."""
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            write_json(self.path, {**self.constants, **values, "updated": time.time()})
        if not sys.stderr.isatty() and now - self._printed >= 60:
            self._printed = now
            print(", ".join(f"{key} {value}" for key, value in values.items()), flush=True)

    def end(self) -> None:
        """Remove the heartbeat: the outputs tell the rest."""
        self.path.unlink(missing_ok=True)
