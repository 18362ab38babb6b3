"""Lines for a job's log."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once; a log that cannot be written, as on a full disk, ends no job."""
    with suppress(OSError, RuntimeError):  # the latter if a signal arrives while a line is being printed
        print(text, file=stream, flush=True)
