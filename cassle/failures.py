"""Jobs that failed for good: a marker tells a retry to end at once, and `cassle status` what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cassle.errors import CassleError, CheckpointError, DataError, DivergenceError, SettingsError
from cassle.files import read_json, write_json

FINAL = (CheckpointError, DataError, DivergenceError, SettingsError)
"""Errors that the same job would meet again; anything else may be worth a retry."""


def marker(folder: Path) -> Path:
    """Return the file that says why the training of a folder failed for good."""
    return folder / "failed.json"


@contextmanager
def remembered(folder: Path, spec: dict[str, Any], attempt: int) -> Iterator[None]:
    """Run a training's body; a failure for good leaves a marker, and the next ``attempt`` (from 1) ends at once.

    A first attempt always tries: whoever calls the workflow anew has changed something. Raises `CassleError` for an
    attempt that is not worth it.
    """
    file = marker(folder)
    if attempt > 1 and file.is_file() and (held := read_json(file))["spec"] == spec:
        raise CassleError(f"not tried again, as it would fail again: {held['message']}")
    file.unlink(missing_ok=True)
    try:
        yield
    except FINAL as error:
        with suppress(CassleError):
            write_json(file, {"spec": spec, "message": str(error)})
        raise
