"""Who may work in a folder: kernel locks, which end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cassle.errors import CassleError
from cassle.log import say

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
        _sign(lock, str(os.getpid()))
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
                say(f"waiting for process {_signed(lock) or '?'}, which still trains {folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        say(f"the file system of {folder} has no locks; take care that nothing else trains there")


def holder(folder: Path) -> int | None:
    """Return the number of the process that holds a folder by `exclusive` (0 if it is not known), or None."""
    try:
        lock = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        held = not _take(lock, fcntl.LOCK_SH)
        text = _signed(lock)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(lock)
    return (int(text) if text.isdigit() else 0) if held else None


def clear_stale(guard: Path, locks: Path) -> str | None:
    """Stand at ``guard`` until this process ends, and remove lock files that killed processes left in ``locks``.

    They are stale if nobody else stands there. Returns who does, as `process 12 on host`, or None. Lock files of
    another machine, and those on a file system without locks, are left alone, since nobody can tell.
    """
    host = os.uname().nodename
    try:
        guard.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(guard, os.O_RDWR | os.O_CREAT, 0o644)  # never closed: the end of the process does it
        mine, other = _take(lock, fcntl.LOCK_EX), _signed(lock)
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
