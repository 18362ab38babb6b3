"""Files that are written completely or not at all, and fingerprints of content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cassle.core.errors import CassleError, CheckpointError

if TYPE_CHECKING:
    import torch


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file next to ``path``; on success, flush it to disk and rename it to ``path``.

    The temporary file is new: its name has a random part, and the kernel refuses an existing file or symbolic link of
    that name. Leftovers of killed processes of this machine that wrote the same file are removed. Raises `CassleError`
    with the path if the disk is full, read-only or otherwise refuses the write.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}@{os.uname().nodename}.partial")
    created = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
        created = True
        yield aside
        _sync(aside, os.O_NOFOLLOW)
        os.replace(aside, path)
        with suppress(OSError):  # some file systems cannot sync a directory
            _sync(path.parent, os.O_DIRECTORY)
    except OSError as error:
        raise CassleError(
            f"cannot write {path}: {error.strerror or error}; make room or fix the permissions, then run the "
            "same command again"
        ) from error
    finally:
        if created:
            with suppress(OSError):
                aside.unlink()


def _sync(path: Path, flags: int) -> None:
    """Flush a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of ``path`` whose process on this machine has died; never fails."""
    host = re.escape(os.uname().nodename)
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.[0-9a-f]{{8}}@{host}\.partial")
    with suppress(OSError):  # a directory without read permission
        for entry in os.listdir(path.parent):
            leftover = name.fullmatch(entry)
            if leftover and not is_alive(int(leftover[1])):
                with suppress(OSError):  # it stays; this write has a name of its own
                    path.with_name(entry).unlink()


def is_alive(pid: int) -> bool:
    """Return whether this machine runs a process with this id."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the latter for an id that no process can have
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def write_with(path: str | Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write ``path`` through ``write(file)``, completely or not at all."""
    with written_aside(path) as aside, aside.open("wb") as file:
        write(file)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file completely or not at all."""
    write_with(path, lambda file: file.write(text.encode()))


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as readable JSON, completely or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; `CassleError` naming the file if it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise CassleError(f"there is no {path}; check the path, or run the workflow, which writes it") from error
    except (OSError, ValueError) as error:
        raise CassleError(f"cannot read {path}: {error}; delete it and run the workflow again") from error


def save_tensors(path: str | Path, value: Any) -> None:
    """Save tensors, numbers, strings and containers of them, completely or not at all."""
    import torch

    def write(file: IO[bytes]) -> None:
        watched = _Watched(file)
        try:
            torch.save(value, watched)  # type: ignore[arg-type]
        except RuntimeError as error:  # torch hides a full disk behind its own zip writer
            raise watched.error or OSError(str(error).splitlines()[0]) from error

    write_with(path, write)


class _Watched:
    """A writable file that keeps the error of a failed write."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def load_tensors(path: str | Path, device: torch.device | str = "cpu") -> Any:
    """Load what `save_tensors` wrote, executing nothing; `CheckpointError` if it is not such a file."""
    import torch

    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}; check the path, or run the task that writes it")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged zip or pickle can raise almost anything
        raise CheckpointError(
            f"cannot read checkpoint {path}: {unreadable(error)}; it is damaged or was not written by this software: "
            "delete it and run the workflow again"
        ) from error


def unreadable(error: Exception) -> str:
    """Return in one line why `torch.load` failed, without its advice to run whatever the file contains."""
    gist = re.search(r"WeightsUnpickler error:\s*(.+?)(?: Please use|\n|$)", str(error))
    return gist[1].rstrip(".") if gist else (str(error).splitlines() or [type(error).__name__])[0]


def link(path: Path, name: Path) -> None:
    """Hard-link ``path`` to ``name``, which costs no space and survives the deletion of ``path``; copy if refused."""
    with written_aside(name) as aside:
        aside.unlink()
        try:
            os.link(path, aside)
        except OSError:
            shutil.copy2(path, aside)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 16 hexadecimal digits that name a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def shortened(name: str, longest: int) -> str:
    """Return a name, or where it is longer its beginning and ten digits that tell it from others.

    >>> shortened("a-short-name", 20), shortened("a-name-that-is-too-long", 20)
    ('a-short-name', 'a-name-th~64b556c104')
    """
    return name if len(name) <= longest else f"{name[: longest - 11]}~{fingerprint(name)[:10]}"


def fingerprint_tensors(tensors: dict[str, torch.Tensor]) -> str:
    """Return 16 hexadecimal digits that name tensors by key, type, shape and bits, not by file bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{array.dtype}:{tuple(array.shape)};".encode())
        digest.update(array.flatten().view(dtype=_bytes_dtype()).numpy().tobytes() if array.numel() else b"")
    return digest.hexdigest()[:16]


def _bytes_dtype() -> torch.dtype:
    import torch

    return torch.uint8
