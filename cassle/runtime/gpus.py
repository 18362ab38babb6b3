"""GPUs of this process, given by a batch system, a variable or the machine, and leases of them between jobs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from cassle.core.errors import CassleError
from cassle.runtime.locks import FileLock

BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "FLUX_JOB_ID", "OAR_JOB_ID", "_CONDOR_SLOT")
"""Environment variables with the id of a batch job."""
_NAME = re.compile(r"\d+|(GPU|MIG)-\S+")


def batch_job() -> str | None:
    """Return the id of the batch job this process belongs to, or None."""
    return next((os.environ[name] for name in BATCH_SYSTEMS if os.environ.get(name)), None)


def visible_devices() -> list[str]:
    """Return the devices this process may choose from: indices, or names that begin with GPU- or MIG-.

    They come from CASSLE_DEVICES, else CUDA_VISIBLE_DEVICES (as in CUDA, nothing counts from the first invalid name
    on, so "" and "-1" mean none), else from nvidia-smi; a batch job that was given none by name has none.
    """
    chosen = os.environ.get("CASSLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if chosen is None:
        return [] if batch_job() else [name for parts in _machine() for name in parts]
    return list(takewhile(_NAME.fullmatch, (name.strip() for name in chosen.split(","))))


def _machine() -> list[list[str]]:
    """Return the UUID of each GPU, or those of its MIG instances; [] where nvidia-smi is missing or fails."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    gpus: list[list[str]] = []
    for name in re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", listed):
        if name.startswith("GPU-"):
            gpus.append([name])
        else:
            gpus[-1] = [part for part in gpus[-1] if part.startswith("MIG-")] + [name]
    return gpus


def by_hardware(names: list[str]) -> dict[str, str]:
    """Return UUID -> given name: an index, a UUID and its abbreviation are one device to everybody.

    Indices count in nvidia-smi's order; without nvidia-smi a name stands for itself.
    """
    gpus = _machine() if names else []
    devices: dict[str, str] = {}
    for name in names:
        if name.isdigit():
            uuid = gpus[int(name)][0] if int(name) < len(gpus) else name
        else:
            uuid = next((part for parts in gpus for part in parts if part.startswith(name)), name)
        devices.setdefault(uuid, name)
    return devices


POLL = 0.5
"""Seconds between two attempts to take the locks."""
SAY_EVERY = 60.0
"""Seconds between two messages while waiting."""


@contextmanager
def lease(count: int, jobs_per_gpu: int = 1, timeout: float = 24 * 3600) -> Iterator[list[str]]:
    """Hold ``count`` devices, fewer if there are fewer, and yield their names for CUDA_VISIBLE_DEVICES.

    Without devices, or for a count of 0, yields [] at once: the job runs on the CPU. What a batch system has given is
    taken as it is; only if that is more than ``count``, several jobs share it and lease among themselves.
    ``jobs_per_gpu`` jobs may hold one device; 1: no sharing. Raises `CassleError` after ``timeout`` seconds.
    """
    batch = batch_job()
    devices = by_hardware(visible_devices()) if count > 0 else {}
    if not devices or (batch and len(devices) <= count):
        yield list(devices.values())
        return
    scope = f"job{batch}-" if batch else ""
    names = {re.sub(r"[^\w-]", "_", scope + key): name for key, name in devices.items()}
    with ExitStack() as held:
        taken = _wait(_folder(), _Request(list(names), min(count, len(names)), jobs_per_gpu), names, held, timeout)
        yield [names[key] for key in names if key in taken]


def _lock(path: Path, shared: bool = False, text: str | None = None) -> FileLock | None:
    """Return the lock of a file, created if missing and signed with ``text``, or None if another process holds it."""
    lock = FileLock(path)
    if not lock.take(shared):
        lock.close()
        return None
    if text is not None:
        lock.sign(text)
    return lock


class _Request(NamedTuple):
    """A request for ``number`` of the devices ``keys``, with at most ``share`` jobs on each."""

    keys: list[str]
    number: int
    share: int


def _wait(folder: Path, request: _Request, names: dict[str, str], held: ExitStack, timeout: float) -> set[str]:
    """Return the keys of the devices taken, once there are enough; their locks go into ``held``."""
    began, said = time.monotonic(), -SAY_EVERY
    ticket: Path | None = None
    busy = "another job is choosing"
    with ExitStack() as queued:
        while True:
            waited = time.monotonic() - began
            if (turn := _lock(folder / "turn")) is not None:
                with closing(turn):
                    if taken := _take(folder, request, ticket, held):
                        return taken
                    ticket = ticket or _enqueue(folder, request, queued)
                    # while the turn is held, since an attempt of another job looks like a lease
                    busy = "; ".join(f"GPU {name} {_holders(folder, key)}" for key, name in names.items())
            if waited >= timeout:
                raise CassleError(
                    f"no lease of {request.number} of {len(names)} GPUs within {timeout:g} s: {busy}. End what "
                    "holds them, or choose other devices with CUDA_VISIBLE_DEVICES"
                )
            if turn is not None and waited >= said + SAY_EVERY:
                print(f"waiting for {request.number} of {len(names)} GPUs: {busy}", flush=True)
                said = waited
            time.sleep(POLL if turn is not None else POLL / 10)


def _take(folder: Path, request: _Request, ticket: Path | None, held: ExitStack) -> set[str]:
    """Take the least used requested devices, all or none, after earlier tickets; the caller holds the turn."""
    slots = {key: slot for key in request.keys if (slot := _slot(folder, key, request.share)) is not None}
    free = sorted(slots, key=lambda key: slots[key][0])
    for earlier in _earlier(folder, ticket):
        kept = [key for key in free if key in earlier.keys][: earlier.number]
        free = [key for key in free if key not in kept]
    mine = set(free[: request.number]) if len(free) >= request.number else set()
    for key, (_, locks) in slots.items():
        if key in mine:
            held.enter_context(locks)
        else:
            locks.close()
    return mine


def _slot(folder: Path, key: str, share: int) -> tuple[int, ExitStack] | None:
    """Return the number of the first free slot of a device and its locks, or None."""
    with ExitStack() as locks:
        if (whole := _lock(folder / key, shared=share > 1)) is not None:
            locks.callback(whole.close)
            for number in range(share):
                if (slot := _lock(folder / f"{key}.{number}", text=str(os.getpid()))) is not None:
                    locks.callback(slot.close)
                    return number, locks.pop_all()
    return None


def _holders(folder: Path, key: str) -> str:
    """Return who holds a device, in words."""
    pids = []
    for slot in sorted(folder.glob(f"{key}.*")):
        with closing(FileLock(slot)) as lock:
            if not lock.take(shared=True):
                pids.append(lock.signature())
    return f"is held by process {', '.join(pids)}" if pids else "is kept for a job that waits longer"


def _enqueue(folder: Path, request: _Request, queued: ExitStack) -> Path:
    """Append a ticket to the queue; it is valid while its lock is held."""
    last = max((int(path.suffix[1:]) for path in folder.glob("ticket.*")), default=0)
    ticket = folder / f"ticket.{last + 1:09d}"
    lock = _lock(ticket, text=json.dumps(request))
    assert lock is not None
    queued.callback(lock.close)
    queued.callback(ticket.unlink, missing_ok=True)
    return ticket


def _earlier(folder: Path, ticket: Path | None) -> Iterator[_Request]:
    """Yield the requests of earlier jobs; remove tickets of dead processes."""
    for path in sorted(folder.glob("ticket.*")):
        if path == ticket:
            return
        if (dead := _lock(path, shared=True)) is not None:
            path.unlink(missing_ok=True)
            dead.close()
        else:
            with suppress(FileNotFoundError, ValueError):  # the latter for a ticket that a full disk has cut short
                yield _Request(*json.loads(path.read_text()))


def _folder() -> Path:
    """Return the user's directory of locks on this machine; refuse one of another user."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    shared = Path(tempfile.gettempdir()) / f"cassle-{os.getuid()}"
    folder = runtime / "cassle" if runtime.is_dir() and os.access(runtime, os.W_OK) else shared
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CassleError(f"cannot make {folder}, which holds the leases of GPUs: {error.strerror}") from error
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise CassleError(f"{folder}, which holds the leases of GPUs, belongs to another user; set XDG_RUNTIME_DIR")
    return folder
