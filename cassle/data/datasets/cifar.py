"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in torchvision's layout: 32x32 pixels, 50,000 and 10,000 images.

torchvision downloads the files. They are read here, because torchvision's reader executes code in a pickle and accepts
only the official files.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from cassle.core.errors import DataError
from cassle.data.base import Dataset, InMemory, Rooted, datasets
from cassle.data.check import changed, check_classes, digest_of
from cassle.data.facts import (
    CIFAR10_USUAL,
    CIFAR100_USUAL,
    CIFAR_ORIGINAL,
    PAPER_ORDER_10,
    PAPER_ORDER_100,
    Statistics,
)
from cassle.data.index import HALVES, Index, Part, Which, content_fingerprint
from cassle.data.report import in_both, without_test_images

MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
NAMES = ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar")


class _Arrays(pickle.Unpickler):
    """Unpickler of arrays, numbers, strings and containers of them; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module in MODULES and name in NAMES) or (module, name) == ("_codecs", "encode"):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no data")


def read_pickle(file: Path) -> dict[str, Any]:
    """Return a pickled mapping, Python 2's too; `DataError` if it is missing, damaged or contains code."""
    try:
        with file.open("rb") as opened:
            content = _Arrays(opened, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can raise almost anything
        raise damaged(file, str(error)) from error
    if not isinstance(content, dict):
        raise damaged(file, f"it holds a {type(content).__name__}")
    return content


def damaged(file: Path, why: str) -> DataError:
    """Return the error for a file that does not hold what it should."""
    return DataError(f"{file} is damaged or something else: {why}; delete it and unpack the archive again")


SIDE = 32


class CIFARSettings(Rooted):
    """Settings of both CIFARs."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalized with: the dataset's own, or the original's"
    )
    download: bool = Field(True, description="download the files if they are not there")


@datasets.register("cifar10")
class CIFAR10(Dataset):
    """Ten classes; ``original`` statistics have other standard deviations than the data (0.243, not 0.2435)."""

    Settings = CIFARSettings
    original: ClassVar[Mapping[str, Any]] = {"statistics": "original"}
    original_training: ClassVar[Mapping[str, Any]] = {"online_batch": "shared"}
    name = "cifar10"
    image_size = SIDE
    num_classes: int = 10
    domains = ("photo",)
    class_order: ClassVar[tuple[int, ...]] = PAPER_ORDER_10
    mean, std = CIFAR10_USUAL
    archive: ClassVar[str] = "cifar-10-python.tar.gz"
    batches: ClassVar[str] = "cifar-10-batches-py"
    files: ClassVar[dict[Which, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test": ("test_batch",),
    }
    label_key: ClassVar[str] = "labels"
    names_file: ClassVar[str] = "batches.meta"
    names_key: ClassVar[str] = "label_names"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.settings.statistics == "original":
            self.mean, self.std = CIFAR_ORIGINAL

    def index(self, root: Path | None, cores: int = 1) -> Index:
        """Read every batch once; the images stay in their files, the index names their content."""
        folder = self._batches(root)
        names = read_pickle(folder / self.names_file).get(self.names_key)
        if not isinstance(names, list) or len(names) != self.num_classes:
            raise damaged(folder / self.names_file, f"no {self.num_classes} {self.names_key}")
        train, test = (self._part(folder, which) for which in HALVES)
        classes = tuple(map(str, names))
        check_classes(self.name, classes, train, test)
        notes = "\n".join(f"* {note}" for note in without_test_images(classes, test) + in_both(train, test))
        made = content_fingerprint(train, test)
        return Index(self.name, classes, self.domains, train, test, made, (SIDE, SIDE), notes)

    def load(self, index: Index, root: Path | None, which: Which) -> InMemory:
        """Return the images of one half; `DataError` if they are not those that were prepared."""
        import torch

        folder, part = self._batches(root), index.part(which)
        pixels, labels = self._read(folder, which)
        found = Part(labels, part.domains, digests=_digests(pixels))
        if content_fingerprint(found) != content_fingerprint(part):
            raise DataError(changed(self.name, str(folder)))
        return InMemory(*(torch.as_tensor(array) for array in (pixels, part.labels, part.domains)))

    def _batches(self, root: Path | None) -> Path:
        """Return the folder of batches, downloaded if it is not there and may be."""
        top = self.folder(root)
        folder = top / self.batches
        missing = [name for names in (*self.files.values(), (self.names_file,)) for name in names]
        missing = [name for name in missing if not (folder / name).is_file()]
        if missing and self.settings.download:
            self._download(top)
        elif missing:
            raise DataError(f"{folder} lacks {', '.join(missing)}. {self._how_to_place(top)}")
        return folder

    def _download(self, top: Path) -> None:
        import torchvision

        try:
            getattr(torchvision.datasets, type(self).__name__)(top, download=True)
        except Exception as error:  # no network, a wrong checksum, a full disk
            raise DataError(
                f"{self.name} is not in {top} and cannot be downloaded: {error}. {self._how_to_place(top)}"
            ) from error

    def _how_to_place(self, top: Path) -> str:
        return (
            f"Get {self.archive} (https://www.cs.toronto.edu/~kriz/{self.archive}) and unpack it there: "
            f"tar -xzf {self.archive} -C {top}"
        )

    def _part(self, folder: Path, which: Which) -> Part:
        pixels, labels = self._read(folder, which)
        return Part(labels, np.zeros_like(labels), digests=_digests(pixels))

    def _read(self, folder: Path, which: Which) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (N, 3, 32, 32) uint8 and labels (N,) int64 of the batches of one half."""
        batches = [self._read_batch(folder / name) for name in self.files[which]]
        pixels, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        return pixels, labels

    def _read_batch(self, file: Path) -> tuple[np.ndarray, np.ndarray]:
        batch = read_pickle(file)
        pixels, labels = batch.get("data"), np.asarray(batch.get(self.label_key))
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(pixels), 3 * SIDE**2):
            raise damaged(file, "'data' should be rows of 3072 bytes")
        if labels.shape != (len(pixels),) or not np.isin(labels, np.arange(self.num_classes)).all():
            raise damaged(file, f"'{self.label_key}' should be a number below {self.num_classes} for each image")
        return pixels.reshape(-1, 3, SIDE, SIDE), labels.astype(np.int64)


@datasets.register("cifar100")
class CIFAR100(CIFAR10):
    """A hundred classes, numbered as torchvision's fine labels; ``original`` statistics are those of CIFAR-10."""

    name = "cifar100"
    num_classes = 100
    class_order = PAPER_ORDER_100
    mean, std = CIFAR100_USUAL
    archive = "cifar-100-python.tar.gz"
    batches = "cifar-100-python"
    files: ClassVar[dict[Which, tuple[str, ...]]] = {"train": ("train",), "test": ("test",)}
    label_key = "fine_labels"
    names_file = "meta"
    names_key = "fine_label_names"


def _digests(pixels: np.ndarray) -> np.ndarray:
    return np.array([digest_of(row.data) for row in pixels], dtype=np.uint64)
