"""When a job worked, and what ended it: one line per attempt beside its record. Never part of a result."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cassle.contracts.layout import PROGRESS
from cassle.contracts.records import AttemptRecord, ProgressRecord, read_lines, read_record_if_present, write_lines
from cassle.core.errors import CassleError, in_words


def times_file(record: str | Path) -> Path:
    """Return the file of attempts beside a job's record: ``train.json`` has ``train.times.jsonl``."""
    return Path(record).with_suffix(".times.jsonl")


@contextmanager
def timed(record: str | Path, leased: str = "") -> Iterator[None]:
    """Write when this attempt at a job begins and ends (seconds since 1970), on which host and leased devices.

    The error that ended it, if any, is added: a log is that of the last attempt alone. An attempt that was killed ended
    at its last heartbeat, as the next attempt notes; without a heartbeat its end is not known. Nothing that goes wrong
    here harms the job.
    """
    file = times_file(record)
    earlier = _earlier(file)
    if earlier and earlier[-1].ended is None:
        earlier[-1] = _ended_at_heartbeat(earlier[-1], Path(record).with_name(PROGRESS))
    attempt = AttemptRecord(began=round(time.time(), 2), host=os.uname().nodename, leased=leased)

    def write(attempt: AttemptRecord) -> None:
        with suppress(CassleError):
            write_lines(file, [*earlier, attempt])

    write(attempt)
    error: str | None = None
    try:
        yield
    except BaseException as raised:
        error = in_words(raised)
        raise
    finally:
        ended = round(time.time(), 2)
        write(attempt.model_copy(update={"ended": ended, "error": error, "gpu_mb": _gpu_memory()}))


def _earlier(file: Path) -> list[AttemptRecord]:
    """Return earlier attempts; none of a damaged file, which is replaced."""
    with suppress(CassleError):
        return read_lines(AttemptRecord, file)
    return []


def _ended_at_heartbeat(attempt: AttemptRecord, heartbeat: Path) -> AttemptRecord:
    """Return a killed attempt with the time of its last heartbeat as its end, if the heartbeat exists."""
    with suppress(CassleError):
        beat = read_record_if_present(ProgressRecord, heartbeat)
        if beat is not None and beat.updated >= attempt.began:
            return attempt.model_copy(update={"ended": round(beat.updated, 2)})
    return attempt


def _gpu_memory() -> float | None:
    """Return the most GPU memory this process held, MiB; None if it used no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    devices = range(torch.cuda.device_count())
    return float(round(max(torch.cuda.max_memory_allocated(device) for device in devices) / 2**20, 1))
