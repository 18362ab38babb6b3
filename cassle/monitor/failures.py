"""Jobs that failed: a marker tells a retry whether to try at all, and `cassle status` what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cassle.contracts.layout import FAILURE, RECORD
from cassle.contracts.records import FailureRecord, read_record_if_present, write_record
from cassle.core.errors import (
    CassleError,
    CheckpointError,
    DataError,
    DivergenceError,
    Interrupted,
    SettingsError,
    in_words,
)

MISTAKES = (AttributeError, ImportError, IndexError, KeyError, NameError, NotImplementedError, TypeError)
"""What Python raises where code is wrong, such as that of a method of the user's own."""
FINAL = (CheckpointError, DataError, DivergenceError, SettingsError, *MISTAKES)
"""Errors that the same job would meet again; anything else may be worth a retry."""


def marker(output: Path) -> Path:
    """Return the file beside a job's output that says why the last attempt at it failed.

    That of a training (train.json) is failed.json; of any other job it is named like its output.
    """
    return output.with_name(FAILURE) if output.name == RECORD else output.with_suffix(".failed")


@contextmanager
def recorded(output: Path, digest: str, attempt: int) -> Iterator[None]:
    """Run a job's body; a failure writes a marker, and after a final one the next ``attempt`` ends at once.

    A first attempt (1) always tries: who starts the workflow again may have changed something. ``digest`` names the
    job's specification. Raises `CassleError` for an attempt that would fail again.
    """
    file = marker(output)
    if attempt > 1 and (held := read_failure(file)) and held.final and held.digest == digest:
        raise CassleError(f"not tried again, as it would fail again: {held.message}")
    with suppress(OSError):
        file.unlink(missing_ok=True)
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        with suppress(CassleError):
            write_record(file, FailureRecord(digest=digest, message=in_words(error), final=isinstance(error, FINAL)))
        raise


def read_failure(file: Path) -> FailureRecord | None:
    """Return why the last attempt at a job failed; None without a marker, or with a damaged one, which says nothing."""
    with suppress(DataError):
        return read_record_if_present(FailureRecord, file)
    return None
