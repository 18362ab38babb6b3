"""Kernel locks (flock): of training directories, logs and the guard of Snakemake; each ends with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cassle.core.errors import CassleError
from cassle.core.log import say

PAUSE = 0.1
"""Seconds between two attempts to take a lock: a reader holds it for a moment while it looks for the holder."""
SIGNATURE = 100
"""Minimum size of a signature in bytes: a file that has this size can be signed again on a full disk."""
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_CREATE = os.O_RDWR | os.O_CREAT


class FileLock:
    """An advisory kernel lock on a file, freed by `close` or by the end of its process, however that ends.

    ``file`` is a path, opened with ``flags``, or a descriptor that the process has opened already. Raises `OSError` if
    the file cannot be opened; every method that takes the lock raises it where the file system has no locks.
    """

    def __init__(self, file: Path | int, flags: int = _CREATE) -> None:
        self.descriptor = file if isinstance(file, int) else os.open(file, flags, 0o644)
        self.owner = os.getpid()

    def take(self, shared: bool = False) -> bool:
        """Try to take the lock; return whether this process holds it now. A lock that it holds changes its kind."""
        try:
            fcntl.flock(self.descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take_patiently(self) -> bool:
        """Try to take the exclusive lock, and once more after `PAUSE`, when a reader has released it."""
        if self.take():
            return True
        time.sleep(PAUSE)
        return self.take()

    def wait(self) -> None:
        """Take the exclusive lock; wait for the process that holds it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def sign(self, text: str) -> None:
        """Write who holds the lock into its file; on a full disk the signature is missing, but the lock holds."""
        content = text.encode().ljust(SIGNATURE)
        with suppress(OSError):
            os.pwrite(self.descriptor, content, 0)
            os.ftruncate(self.descriptor, len(content))

    def signature(self) -> str:
        """Return the last text of `sign`."""
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0).decode(errors="replace").strip()

    def close(self) -> None:
        """Close the file and free the lock; in a forked child of the process that opened it, close only."""
        if os.getpid() == self.owner:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # a forked child that lives on would keep it
        os.close(self.descriptor)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a training directory; wait, with a message, while another process trains there.

    Where the file system has no locks, continue with a warning. Raises `CassleError` if the directory refuses files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
    except OSError as error:
        raise CassleError(
            f"cannot write in {folder}: {error.strerror}; fix that, then run the same command again"
        ) from error
    with closing(lock):
        _wait(lock, folder)
        lock.sign(f"{os.getpid()} on {os.uname().nodename}")
        yield


def _wait(lock: FileLock, folder: Path) -> None:
    try:
        if not lock.take_patiently():
            number, _, host = lock.signature().partition(" on ")
            say(f"waiting for process {number or '?'} on {host or '?'}, which still trains {folder}")
            lock.wait()
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        say(f"the file system of {folder} has no locks; take care that nothing else trains there")


def holder(folder: Path) -> str | None:
    """Return who holds a directory by `exclusive`, as `12 on host` ("" if the signature is missing), or None."""
    with suppress(OSError):  # a file system without locks
        return _holder(folder / ".lock", os.O_RDONLY, shared=True)
    return None


def hold_log() -> None:
    """Lock the log that this process writes until it ends, so that `at_work` can see that its job runs.

    Nothing is locked where errors go to a terminal, or where the file system has no locks.
    """
    with suppress(OSError, ValueError):  # a stream without a file
        log = sys.stderr.fileno()
        if stat.S_ISREG(os.fstat(log).st_mode):
            FileLock(log).take_patiently()


def at_work(log: Path) -> bool:
    """Return whether a process holds its log by `hold_log`."""
    with suppress(OSError):
        return _holder(log, os.O_RDONLY, shared=True) is not None
    return False


def on_guard(guard: Path) -> str | None:
    """Return who holds a guard by `clear_stale`, as `process 12 on host`, or None.

    Raises `OSError` where the file system has no locks.
    """
    return _holder(guard, os.O_RDWR)


def _holder(file: Path, flags: int, shared: bool = False) -> str | None:
    """Return the signature of the process that holds a lock, or None if the lock is free or its file is missing."""
    try:
        lock = FileLock(file, flags)
    except FileNotFoundError:
        return None
    with closing(lock):
        return None if lock.take(shared) else lock.signature()


def clear_stale(guard: Path, locks: Path) -> str | None:
    """Hold ``guard`` until this process ends, and remove lock files that killed processes left in ``locks``.

    The lock files are stale if no other process holds the guard. Returns the process that does, as
    `process 12 on host`, or None. Lock files of another machine, and those on a file system without locks, stay, since
    their processes cannot be seen.
    """
    host = os.uname().nodename
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(guard)  # never closed: the end of the process frees it
        mine = lock.take_patiently()
        other = lock.signature()
        left = list(locks.glob("*.lock"))
        if mine and (not left or other.endswith(f" on {host}")):
            for file in left:
                file.unlink(missing_ok=True)
            lock.sign(f"process {os.getpid()} on {host}")
        lock.take(shared=True)
    except OSError:
        return None
    return None if mine else other
