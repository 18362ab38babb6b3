"""What a training tells while it runs: one line of metrics per epoch, and a heartbeat for `cassle status`."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cassle.errors import CassleError
from cassle.files import write_json, write_text
from cassle.log import say

PRINT_EVERY = 60.0
"""Seconds between two lines in a log."""


class Metrics:
    """``metrics.jsonl``: one JSON object per epoch; starts again from the lines that a restored state brings.

    No time is in it, so that an interrupted run ends in the same file as one that was not. Without a folder, which is
    the business of another process, nothing is written.
    """

    def __init__(self, folder: Path | None, lines: list[str] | None = None) -> None:
        self.path = None if folder is None else folder / "metrics.jsonl"
        self.lines = list(lines or [])
        self.write()

    def append(self, values: dict[str, Any]) -> None:
        """Add the line of an epoch; while the disk is full it is only remembered."""
        self.lines.append(json.dumps(values))
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

    def __init__(self, folder: Path, constants: dict[str, Any], every: float = 5.0) -> None:
        self.path = folder / "progress.json"
        self.constants = {**constants, "host": os.uname().nodename, "pid": os.getpid()}
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
            write_json(self.path, {**self.constants, **values, "updated": time.time()})
        if not sys.stderr.isatty() and self._last - self._printed >= PRINT_EVERY:
            self._printed = self._last
            say(", ".join(f"{key} {value}" for key, value in values.items()))

    def end(self) -> None:
        """Remove the heartbeat: the outputs tell the rest."""
        self.path.unlink(missing_ok=True)
