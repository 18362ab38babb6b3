"""The index of a dataset: the result of `prepare`, in one small file."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cassle.core.errors import DataError
from cassle.core.files import write_with

Which = Literal["train", "test"]
HALVES: tuple[Which, Which] = ("train", "test")
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One half of a dataset: ``labels`` and ``domains`` (N,) int64, and the location of the images.

    ``pixels`` (N, 3, H, W) uint8 where the index itself holds the images; else ``digests`` (N,) uint64 name the content
    of each image, and ``paths`` relative to the dataset's folder its file, where every image has one.
    """

    labels: IntArray
    domains: IntArray
    pixels: NDArray[np.uint8] | None = None
    paths: tuple[str, ...] = ()
    digests: NDArray[np.uint64] | None = None


@dataclass(frozen=True)
class Index:
    """The result of `prepare` for a dataset, without absolute paths, times and host names.

    ``size`` is height and width of the images if all have the same; ``notes`` are remarks for the user in Markdown,
    written next to the index and not part of it.
    """

    dataset: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    train: Part
    test: Part
    fingerprint: str
    size: tuple[int, int] | None = None
    notes: str = field(default="", compare=False)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def part(self, which: Which) -> Part:
        """Return the training or the test half."""
        return self.train if which == "train" else self.test


def content_fingerprint(*parts: Part) -> str:
    """Return 16 digits that name labels, domains, paths and the content of the images, not their directory."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.labels.tobytes() + part.domains.tobytes() + os.fsencode("\n".join(part.paths)))
        for content in (part.pixels, part.digests):
            digest.update(b"" if content is None else content.tobytes())
    return digest.hexdigest()[:16]


def write_index(path: str | Path, index: Index) -> None:
    """Write an index, completely or not at all."""
    facts = {
        "dataset": index.dataset,
        "classes": index.classes,
        "domains": index.domains,
        "fingerprint": index.fingerprint,
        "size": index.size,
        "train_paths": index.train.paths,
        "test_paths": index.test.paths,
    }
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
    for which in HALVES:
        part = index.part(which)
        arrays |= {f"{which}_labels": part.labels, f"{which}_domains": part.domains}
        content = {f"{which}_pixels": part.pixels, f"{which}_digests": part.digests}
        arrays |= {name: array for name, array in content.items() if array is not None}

    def write(file: IO[bytes]) -> None:
        np.savez_compressed(file, **arrays)

    write_with(path, write)


def read_arrays(path: str | Path, what: str, rule: str) -> dict[str, Any]:
    """Read the arrays of an .npz file; `DataError` saying what it should have been and which rule makes it anew."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError as error:
        raise DataError(f"there is no {what} {path}; make it with `cassle {rule}`") from error
    except Exception as error:  # a damaged archive can raise almost anything
        raise DataError(
            f"cannot read {what} {path}: {error}; delete it and make it anew with `cassle {rule}`"
        ) from error


def read_index(path: str | Path) -> Index:
    """Read an index; `DataError` if it is missing, damaged or of another kind."""
    arrays = read_arrays(path, "index", "prepare")
    try:
        facts = json.loads(str(arrays["facts"]))
        train, test = (
            Part(
                arrays[f"{which}_labels"],
                arrays[f"{which}_domains"],
                arrays.get(f"{which}_pixels"),
                tuple(facts[f"{which}_paths"]),
                arrays.get(f"{which}_digests"),
            )
            for which in HALVES
        )
        classes, domains = tuple(facts["classes"]), tuple(facts["domains"])
        size = None if facts["size"] is None else (int(facts["size"][0]), int(facts["size"][1]))
        return Index(facts["dataset"], classes, domains, train, test, facts["fingerprint"], size)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not an index of a dataset ({error}); delete it and run `cassle prepare`") from error
