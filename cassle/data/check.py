"""Checks of image files: each is read once, in parallel and with bounded memory."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cassle.core.errors import DataError
from cassle.data.decode import decode_bytes, read_bytes, shown
from cassle.data.index import Part
from cassle.data.report import SHOWN

CHUNK = 256
"""Files that a process checks before it reports."""
REPORT_EVERY = 30.0
"""Seconds between two progress messages."""
VERIFIED = 32
"""Files that are compared with the index before they are read for training."""


@dataclass
class Look:
    """The properties of N files.

    ``digests`` (N,) uint64 name their content; ``sizes`` (N, 2) int32 height and width, 0 for unusable files;
    ``problems`` maps the index of such a file to the reason; ``kinds`` counts conversions.
    """

    digests: NDArray[np.uint64]
    sizes: NDArray[np.int32]
    problems: dict[int, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)


def digest_of(content: bytes | memoryview) -> int:
    """Return a 64-bit hash of a content."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def look_at(folder: Path, paths: Sequence[str], cores: int) -> Look:
    """Read and decode every file once, with ``cores`` processes if there are enough files."""
    look = Look(np.zeros(len(paths), dtype=np.uint64), np.zeros((len(paths), 2), dtype=np.int32))
    work = partial(_look_at_chunk, str(folder))
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    if cores == 1 or len(chunks) < 3:
        _gather(look, map(work, chunks))
        return look
    try:
        with ProcessPoolExecutor(min(cores, len(chunks)), get_context("forkserver")) as pool:
            _gather(look, pool.map(work, chunks))
    except BrokenProcessPool as error:
        raise DataError(
            "a process that checked images was killed, perhaps for want of memory; run it again with fewer cores"
        ) from error
    return look


Found = tuple[int, tuple[int, int], str, str]
"""Digest, (height, width), kind and problem of a file."""


def _look_at_chunk(folder: str, paths: Sequence[str]) -> list[Found]:
    found: list[Found] = []
    for path in paths:
        try:
            content = read_bytes(f"{folder}/{path}")
            image, kind = decode_bytes(content, f"{folder}/{path}")
            found.append((digest_of(content), (image.shape[0], image.shape[1]), kind, ""))
        except DataError as error:
            found.append((0, (0, 0), "", str(error)))
    return found


def _gather(look: Look, chunks: Iterable[list[Found]]) -> None:
    place, started = 0, time.monotonic()
    reported = started
    for found in chunks:
        for digest, size, kind, problem in found:
            look.digests[place], look.sizes[place] = digest, size
            if problem:
                look.problems[place] = problem
            elif kind:
                look.kinds[kind] += 1
            place += 1
        if time.monotonic() - reported > REPORT_EVERY:
            reported = time.monotonic()
            print(f"checked {place} of {len(look.digests)} images in {reported - started:.0f} s", flush=True)


def check_classes(name: str, classes: Sequence[str], train: Part, test: Part) -> None:
    """Raise `DataError` for a half without images and for classes without training images."""
    for which, part in (("training", train), ("test", test)):
        if not len(part.labels):
            raise DataError(f"{name} has no {which} images; see docs/data.md for how its files must lie")
    missing = set(range(len(classes))) - set(np.unique(train.labels).tolist())
    if missing:
        names = [shown(classes[label]) for label in sorted(missing)]
        raise DataError(
            f"{name}: {len(names)} classes have no training image: {', '.join(names[:SHOWN])}; add images, or remove "
            "the classes"
        )


def verify(folder: Path, part: Part, what: str) -> None:
    """Raise `DataError` unless some of a half's files, evenly spread, are still those of the index.

    Called before files are read for training: it detects a wrong directory and replaced files at little cost.
    """
    if part.digests is None:
        return
    for place in np.unique(np.linspace(0, len(part.paths) - 1, VERIFIED, dtype=int)) if part.paths else ():
        path = folder / part.paths[place]
        if digest_of(read_bytes(path)) != part.digests[place]:
            raise DataError(changed(what, shown(path)))


def changed(what: str, path: str) -> str:
    """Return the message for a file whose content differs from the prepared one."""
    return (
        f"{path} is not what it was when {what} was prepared; give the folder that was prepared, or delete the index "
        "in results/data and run the same command again"
    )
