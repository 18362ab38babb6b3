"""Jobs that failed: a marker tells a retry whether to try at all, and `cassle status` what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cassle.core.errors import (
    CassleError,
    CheckpointError,
    DataError,
    DivergenceError,
    Interrupted,
    SettingsError,
    in_words,
)
from cassle.core.files import read_if_there, write_json

MISTAKES = (AttributeError, ImportError, IndexError, KeyError, NameError, NotImplementedError, TypeError)
"""What Python raises where code is wrong, such as that of a method of the user's own."""
FINAL = (CheckpointError, DataError, DivergenceError, SettingsError, *MISTAKES)
"""Errors that the same job would meet again; anything else may be worth a retry."""


def marker(output: Path) -> Path:
    """Return the file beside a job's output that says why the last attempt at it failed.

    That of a training (train.json) is failed.json; of any other job it is named like its output.
    """
    return output.with_name("failed.json") if output.name == "train.json" else output.with_suffix(".failed")


@contextmanager
def remembered(output: Path, spec: dict[str, Any], attempt: int) -> Iterator[None]:
    """Run a job's body; a failure leaves a marker, and after one for good the next ``attempt`` ends at once.

    A first attempt (1) always tries: whoever calls the workflow anew has changed something. Raises `CassleError` for an
    attempt that is not worth it.
    """
    file = marker(output)
    if attempt > 1 and (held := read_if_there(file)) and held["final"] and held["spec"] == spec:
        raise CassleError(f"not tried again, as it would fail again: {held['message']}")
    with suppress(OSError):
        file.unlink(missing_ok=True)
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        with suppress(CassleError):
            write_json(file, {"spec": spec, "message": in_words(error), "final": isinstance(error, FINAL)})
        raise
