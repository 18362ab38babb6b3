"""When a job worked, and what ended it: one line per attempt beside its record. Never part of a result."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cassle.core.errors import CassleError, in_words
from cassle.core.files import read_json, write_text


def times_file(record: str | Path) -> Path:
    """Return the file of attempts beside a job's record: ``train.json`` has ``train.times.jsonl``."""
    return Path(record).with_suffix(".times.jsonl")


@contextmanager
def timed(record: str | Path, **facts: Any) -> Iterator[None]:
    """Write down when this attempt at a job begins and ends (seconds since 1970), on which host, and ``facts``.

    What ended it, if it did not come to its end, is added as ``error``: a log is that of the last attempt alone.
    An attempt that was killed ended when its heartbeat was last heard, as the next attempt notes; without a heartbeat
    its end is not known. Nothing that goes wrong here harms the job.
    """
    file = times_file(record)
    attempts = read_attempts(file)
    if attempts and "ended" not in attempts[-1]:
        attempts[-1] |= _last_heard(Path(record).with_name("progress.json"), attempts[-1]["began"])
    earlier = [json.dumps(attempt) for attempt in attempts]
    attempt = {"began": round(time.time(), 2), "host": os.uname().nodename, **facts}

    def write() -> None:
        with suppress(CassleError):
            write_text(file, "\n".join([*earlier, json.dumps(attempt)]) + "\n")

    write()
    try:
        yield
    except BaseException as error:
        attempt["error"] = in_words(error)
        raise
    finally:
        attempt |= {"ended": round(time.time(), 2), **_gpu_memory()}
        write()


def read_attempts(file: Path) -> list[dict[str, Any]]:
    """Read the attempts at a job, the earliest first; lines that are none are passed over."""
    attempts = []
    with suppress(OSError, UnicodeDecodeError):
        for line in file.read_text().splitlines():
            with suppress(ValueError):
                attempt = json.loads(line)
                if isinstance(attempt, dict) and isinstance(attempt.get("began"), int | float):
                    attempts.append(attempt)
    return attempts


def _last_heard(heartbeat: Path, began: float) -> dict[str, float]:
    """Return the end of a killed attempt, if its heartbeat is still there."""
    with suppress(CassleError, KeyError, TypeError, ValueError):
        heard = float(read_json(heartbeat)["updated"])
        return {"ended": round(heard, 2)} if heard >= began else {}
    return {}


def _gpu_memory() -> dict[str, float]:
    """Return the most GPU memory this process held, MiB, if it used a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    devices = range(torch.cuda.device_count())
    return {"gpu_mb": round(max(torch.cuda.max_memory_allocated(device) for device in devices) / 2**20, 1)}
