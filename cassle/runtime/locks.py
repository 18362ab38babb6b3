"""Who may work in a folder: kernel locks, which end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cassle.core.errors import CassleError
from cassle.core.log import say

PAUSE = 0.1
"""Seconds after which a lock that somebody only looked at is free again."""
SIGNATURE = 100
"""Bytes in which a holder signs: always as many, so that a full disk has room for the next one."""
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against any other trainer; waits, saying so, while one is still at work.

    Where the file system has no locks it goes on with a warning. Raises `CassleError` for a folder that refuses files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CassleError(
            f"cannot write in {folder}: {error.strerror}; fix that, then run the same command again"
        ) from error
    try:
        _wait(lock, folder)
        _sign(lock, f"{os.getpid()} on {os.uname().nodename}")
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # forked children would hold on to it
        os.close(lock)


def _wait(lock: int, folder: Path) -> None:
    try:
        if not _take(lock, fcntl.LOCK_EX):
            time.sleep(PAUSE)
            if not _take(lock, fcntl.LOCK_EX):
                number, _, host = _signed(lock).partition(" on ")
                say(f"waiting for process {number or '?'} on {host or '?'}, which still trains {folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        say(f"the file system of {folder} has no locks; take care that nothing else trains there")


def holder(folder: Path) -> str | None:
    """Return who holds a folder by `exclusive`, as `12 on host` ("" if that cannot be read), or None."""
    with suppress(OSError):  # a file system without locks
        return _look(folder / ".lock", os.O_RDONLY, fcntl.LOCK_SH)
    return None


def hold_log() -> None:
    """Hold the log that this process writes until its end, so that those who look on know that its job is at work.

    Nothing is held where errors go to a terminal, or where the file system has no locks.
    """
    with suppress(OSError, ValueError):  # a stream that is no file
        log = sys.stderr.fileno()
        if stat.S_ISREG(os.fstat(log).st_mode) and not _take(log, fcntl.LOCK_EX):
            time.sleep(PAUSE)
            _take(log, fcntl.LOCK_EX)


def at_work(log: Path) -> bool:
    """Return whether a process holds its log by `hold_log`."""
    with suppress(OSError):
        return _look(log, os.O_RDONLY, fcntl.LOCK_SH) is not None
    return False


def on_guard(guard: Path) -> str | None:
    """Return who stands at a guard by `clear_stale`, as `process 12 on host`, or None; `OSError` if nobody can tell."""
    return _look(guard, os.O_RDWR, fcntl.LOCK_EX)


def _look(file: Path, mode: int, how: int) -> str | None:
    """Return the signature of who holds a file, or None for one that is free or not there."""
    try:
        lock = os.open(file, mode)
    except FileNotFoundError:
        return None
    try:
        return None if _take(lock, how) else _signed(lock)
    finally:
        os.close(lock)


def clear_stale(guard: Path, locks: Path) -> str | None:
    """Stand at ``guard`` until this process ends, and remove lock files that killed processes left in ``locks``.

    They are stale if nobody else stands there. Returns who does, as `process 12 on host`, or None. Lock files of
    another machine, and those on a file system without locks, are left alone, since nobody can tell.
    """
    host = os.uname().nodename
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(guard, os.O_RDWR | os.O_CREAT, 0o644)  # never closed: the end of the process does it
        if not (mine := _take(lock, fcntl.LOCK_EX)):
            time.sleep(PAUSE)  # somebody may only have looked
            mine = _take(lock, fcntl.LOCK_EX)
        other = _signed(lock)
        left = list(locks.glob("*.lock"))
        if mine and (not left or other.endswith(f" on {host}")):
            for file in left:
                file.unlink(missing_ok=True)
            _sign(lock, f"process {os.getpid()} on {host}")
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        return None
    return None if mine else other


def _take(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signed(lock: int) -> str:
    return os.pread(lock, SIGNATURE, 0).decode(errors="replace").strip()


def _sign(lock: int, text: str) -> None:
    """Write who holds a lock, in place of who held it; on a full disk nobody can read it, but the lock holds."""
    with suppress(OSError):
        os.pwrite(lock, text.ljust(SIGNATURE).encode(), 0)
