"""Which GPUs a job may use: leases of devices between the jobs of one machine.

A lease is a kernel lock on a file per device slot, in a folder of this machine and user; the kernel frees it when the
process ends, even by SIGKILL. Locks are named after the physical device, so that two runs that call one GPU by index and
by UUID still meet.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from cassle.errors import CassleError

SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "KUBERNETES_SERVICE_HOST")
"""Variables of batch systems that hand out devices themselves; their choice is taken as it is."""
POLL = 1.0
TELL_EVERY = 60.0


def devices() -> list[str]:
    """Return the devices this process may use, by the names CUDA knows them by.

    ``CASSLE_DEVICES`` (pretend devices, for tests) before ``CUDA_VISIBLE_DEVICES`` before every GPU of the machine.
    """
    for variable in ("CASSLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        if variable in os.environ:
            names = [name.strip() for name in os.environ[variable].split(",")]
            return [name for name in names if name and name != "-1"]
    return [index for index, _ in _gpus()]


def _gpus() -> list[tuple[str, str]]:
    """Return index and UUID of every GPU of the machine; none where there is no working driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in answer.splitlines() if line.count(",") == 1]
    return [(index.strip(), uuid.strip()) for index, uuid in rows]


def lock_folder() -> Path:
    """Return this user's folder of locks on this machine, made private."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "cassle" if runtime else Path(tempfile.gettempdir()) / f"cassle-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise CassleError(f"{folder} belongs to another user; set XDG_RUNTIME_DIR to a folder of your own")
    return folder


@contextmanager
def lease(count: int, jobs_per_gpu: int = 1, timeout: float = 7 * 86400.0) -> Iterator[list[str]]:
    """Hold ``count`` devices, or as many as there are; yields their names, none where the job runs on the CPU.

    Under a batch system the devices it gave are yielded without locking. Waits for busy devices, saying who holds
    them, and raises `CassleError` after ``timeout`` seconds.
    """
    pool = devices()
    if any(variable in os.environ for variable in SCHEDULERS):
        yield pool[:count]
        return
    wanted = min(count, len(pool))
    if wanted <= 0:
        yield []
        return
    folder = lock_folder()
    names = dict(_gpus()) if "CASSLE_DEVICES" not in os.environ else {}
    with ExitStack() as held:
        yield _acquire(held, folder, [(name, names.get(name, name)) for name in pool], wanted, jobs_per_gpu, timeout)


def _acquire(
    held: ExitStack, folder: Path, pool: list[tuple[str, str]], wanted: int, slots: int, timeout: float
) -> list[str]:
    """Take ``wanted`` devices, collecting one by one; only the head of the queue collects, so none waits crosswise."""
    deadline, told = time.monotonic() + timeout, time.monotonic()
    queue = held.enter_context(_open(folder / "queue.lock"))
    taken: list[str] = []
    at_head = False
    while True:
        at_head = at_head or _lock(queue)
        if at_head:
            for name, physical in pool:
                if len(taken) < wanted and name not in taken and _take(held, folder, physical, slots):
                    taken.append(name)
            if len(taken) == wanted:
                fcntl.flock(queue, fcntl.LOCK_UN)
                return taken
        now = time.monotonic()
        if now > deadline:
            raise CassleError(f"no GPU became free within {timeout:g} s: {_holders(folder)}; stop those, or wait longer")
        if now - told > TELL_EVERY:
            told = now
            print(f"waiting for {wanted - len(taken)} of {wanted} GPUs: {_holders(folder)}", flush=True)
        time.sleep(POLL if timeout > POLL else timeout / 10)


def _take(held: ExitStack, folder: Path, physical: str, slots: int) -> bool:
    """Lock a free slot of one device and sign it with this process's number."""
    for slot in range(slots):
        file = _open(folder / f"{physical.replace('/', '_')}.{slot}.lock")
        if _lock(file):
            held.enter_context(file)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return True
        file.close()
    return False


def _open(path: Path) -> IO[str]:
    return path.open("a+")


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holders(folder: Path) -> str:
    """Return who holds what, in words."""
    signed = ((path.name.rsplit(".", 2)[0], path.read_text().strip()) for path in sorted(folder.glob("*.*.lock")))
    return ", ".join(f"{name} by process {pid}" for name, pid in signed if pid) or "held by another process"
