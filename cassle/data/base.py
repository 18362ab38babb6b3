"""What a data set is: facts known before it is read, an index made once, and images read by position."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cassle.errors import DataError
from cassle.files import write_with
from cassle.options import Options, parse
from cassle.registry import Registry

Which = Literal["train", "test"]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One half of a data set: ``labels`` and ``domains`` (N,) int64, and either pixels or paths.

    ``pixels`` (N, 3, H, W) uint8 where the index itself holds the images; ``paths`` relative to the data set's folder
    where files do.
    """

    labels: IntArray
    domains: IntArray
    pixels: NDArray[np.uint8] | None = None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """Everything that `prepare` found out about a data set; no absolute path, no time, no host."""

    data_set: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    train: Part
    test: Part
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def part(self, which: Which) -> Part:
        """Return the training or the test half."""
        return self.train if which == "train" else self.test


class Images(Protocol):
    """Images of one half of a data set, read by position."""

    labels: Tensor
    domains: Tensor

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 at positions (B,)."""
        ...


class InMemory:
    """Decoded images in one tensor, which may live on a GPU."""

    def __init__(self, images: Tensor, labels: Tensor, domains: Tensor) -> None:
        self.images, self.labels, self.domains = images, labels, domains

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 at positions (B,)."""
        return self.images[index]

    def to(self, device: torch.device | str) -> InMemory:
        """Return the same images on a device."""
        return InMemory(self.images.to(device), self.labels.to(device), self.domains.to(device))


class DataSet:
    """Facts of a data set as class attributes; `index` looks at the files once, `load` gives the images.

    ``image_size`` is the side views are made for; ``num_classes`` and ``domains`` are known beforehand or None and
    empty; ``mean`` and ``std`` are per channel, of pixels in 0-1; ``gpus`` is what one training wants by default.
    """

    Settings: ClassVar[type[Options]] = Options
    name: ClassVar[str]
    image_size: ClassVar[int]
    num_classes: ClassVar[int | None] = None
    domains: ClassVar[tuple[str, ...]] = ()
    class_order: ClassVar[tuple[int, ...] | None] = None
    """Order in which the paper's class-incremental streams take the classes; None: as they are numbered."""
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]
    gpus: ClassVar[int] = 1
    default_backbone: ClassVar[str] = "resnet18"

    def __init__(self, **settings: Any) -> None:
        self.settings: Any = parse(self.Settings, settings, f"data set {self.name}")

    def index(self, root: Path | None) -> Index:
        """Return the index; `DataError` for whatever is missing or broken under ``root``."""
        raise NotImplementedError

    def load(self, index: Index, root: Path | None, which: Which) -> InMemory:
        """Return the images of one half, in the index's order."""
        raise NotImplementedError


data_sets: Registry[type[DataSet]] = Registry("data set", "cassle.data.sets")
"""Data set name -> class."""


def content_fingerprint(*parts: Part) -> str:
    """Return 16 digits that name labels, domains, pixels and paths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.labels.tobytes() + part.domains.tobytes() + "\n".join(part.paths).encode())
        digest.update(b"" if part.pixels is None else part.pixels.tobytes())
    return digest.hexdigest()[:16]


def write_index(path: str | Path, index: Index) -> None:
    """Write an index, completely or not at all."""
    facts = {
        "data_set": index.data_set,
        "classes": index.classes,
        "domains": index.domains,
        "fingerprint": index.fingerprint,
        "train_paths": index.train.paths,
        "test_paths": index.test.paths,
    }
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
    for which in ("train", "test"):
        part = index.part(which)  # type: ignore[arg-type]
        arrays |= {f"{which}_labels": part.labels, f"{which}_domains": part.domains}
        if part.pixels is not None:
            arrays[f"{which}_pixels"] = part.pixels

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
            )
            for which in ("train", "test")
        )
        classes, domains = tuple(facts["classes"]), tuple(facts["domains"])
        return Index(facts["data_set"], classes, domains, train, test, facts["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not an index of a data set ({error}); delete it and run `cassle prepare`"
        ) from error
