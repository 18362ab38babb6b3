"""The outputs of a training: whether they are there and undamaged, and second names that keep them from being lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from cassle.contracts.layout import CHECKPOINT, METRICS, PROGRESS, RECORD, STATE
from cassle.contracts.records import TrainRecord, read_record
from cassle.core.errors import CassleError
from cassle.core.files import link

OUTPUTS = (CHECKPOINT, RECORD)


def second_name(folder: Path, name: str) -> Path:
    """Return the hidden name under which an output outlives its deletion by Snakemake."""
    return folder / f".finished.{name}"


def keep(folder: Path) -> None:
    """Give finished outputs their second names, which cost no space.

    Snakemake deletes the outputs of a job that it did not see finish, as when it was killed before.
    """
    for name in OUTPUTS:
        link(folder / name, second_name(folder, name))


def forget(folders: Iterable[str | Path]) -> None:
    """Remove second names, so that a deleted checkpoint frees its space: Snakemake has seen these trainings finish."""
    for folder in folders:
        for name in OUTPUTS:
            second_name(Path(folder), name).unlink(missing_ok=True)


def finished(folder: Path, key: str) -> bool:
    """Return whether a folder holds complete, undamaged outputs of exactly this job, under whichever names.

    Deleted ones come back. Second names of anything else are removed.
    """
    seconds = {name: second_name(folder, name) for name in OUTPUTS}
    if _is_intact(folder / CHECKPOINT, folder / RECORD, key):
        return True
    if _is_intact(seconds[CHECKPOINT], seconds[RECORD], key):
        for name, second in seconds.items():
            link(second, folder / name)
        return True
    forget([folder])
    return False


def remove_leftovers(folder: Path) -> None:
    """Remove what killed trainers of any machine left half written in a folder that is held against others."""
    for name in (*OUTPUTS, STATE, METRICS, PROGRESS):
        for left in folder.glob(f".{name}.*.partial"):
            left.unlink(missing_ok=True)


def remove_traces(folder: Path) -> None:
    """Remove what is of no use once a training has ended, as when it was killed just after that."""
    for name in (STATE, PROGRESS):
        (folder / name).unlink(missing_ok=True)


def require_room(folder: Path, size: int) -> None:
    """Raise `CassleError` if a checkpoint of ``size`` bytes does not fit on the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise CassleError(
            f"cannot write {folder / CHECKPOINT}: the disk has {free / 1e6:.1f} MB left and it takes "
            f"{size / 1e6:.1f} MB; make room, then run the same command again"
        )


def _is_intact(checkpoint: Path, record: Path, key: str) -> bool:
    from cassle.models.checkpoints import load_checkpoint  # and with it torch, which `forget` can do without

    if not (checkpoint.is_file() and record.is_file()):
        return False
    try:
        made = read_record(TrainRecord, record)
        return made.key == key and load_checkpoint(checkpoint).fingerprint == made.checkpoint
    except CassleError:
        return False
