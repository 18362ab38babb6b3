"""The base class of datasets: facts known before files are read, an index built once, images read by sample index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from cassle.core.errors import DataError, SettingsError
from cassle.core.options import Options, PathText, parse
from cassle.core.registry import IN_STREAMS, Registry
from cassle.data.index import (
    Index,
    IntArray,
    Part,
    Which,
    content_fingerprint,
    read_arrays,
    read_index,
    write_index,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "Dataset",
    "Images",
    "InMemory",
    "Index",
    "IntArray",
    "Part",
    "Rooted",
    "Which",
    "content_fingerprint",
    "datasets",
    "declare",
    "read_arrays",
    "read_index",
    "write_index",
]

RESIDENT_BYTES = 2 * 2**30
"""Largest size of the decoded images of a dataset that is kept in memory; the same on every machine."""


class Images(Protocol):
    """Images of one half of a dataset, read by sample index."""

    labels: Tensor
    domains: Tensor

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 with sample indices (B,)."""
        ...


class InMemory:
    """Decoded images in one tensor, which may be on a GPU."""

    def __init__(self, images: Tensor, labels: Tensor, domains: Tensor) -> None:
        self.images, self.labels, self.domains = images, labels, domains

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 with sample indices (B,)."""
        return self.images[index]

    def image(self, sample: int) -> Tensor:
        """Return the image (3, H, W) uint8 with a sample index."""
        return self.images[sample]

    def to(self, device: torch.device | str) -> InMemory:
        """Return the same images on a device."""
        return InMemory(self.images.to(device), self.labels.to(device), self.domains.to(device))


class Rooted(Options):
    """Settings of a dataset stored in files of the user."""

    root: PathText | None = Field(None, description="directory of this dataset: absolute, or relative to data_root")


class Dataset:
    """A dataset: facts as attributes; `index` reads the files once, `load` returns the images.

    ``image_size`` is the side of views in pixels; ``num_classes`` and ``domains`` are None and empty if unknown before
    the index is built; ``mean`` and ``std`` are per channel, of pixels in 0-1; ``gpus`` is the default of a training.
    Attributes of the class hold for default settings; those of an instance depend on its settings.
    """

    Settings: ClassVar[type[Options]] = Options
    original: ClassVar[Mapping[str, Any]] = {}
    """Settings of the official release where they differ from the defaults; `preset: original` sets them."""
    original_training: ClassVar[Mapping[str, Any]] = {}
    """Training settings of the official release where they differ from the defaults."""
    original_gpu_batch: ClassVar[int | None] = None
    """Images per GPU of the official release, if it trained on several."""
    name: ClassVar[str]
    kind: ClassVar[str | None] = None
    """Name of the dataset of which this one is a declared copy (see `declare`); its recipes apply too."""
    image_size: int
    num_classes: int | None = None
    domains: tuple[str, ...] = ()
    class_order: ClassVar[tuple[int, ...] | None] = None
    """Order in which the paper's class-incremental streams take the classes; None: as they are numbered."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    gpus: ClassVar[int] = 1
    default_backbone: ClassVar[str] = "resnet18"
    default_folder: ClassVar[str] = "."
    """Directory of the files below data_root if no ``root`` is set."""
    places: ClassVar[frozenset[str]] = frozenset({"root", "download"})
    """Settings that locate files and do not affect results."""
    view_keys: ClassVar[frozenset[str]] = frozenset({"image_size", "statistics", "mean", "std"})
    """Settings that change how images are used but not the index."""

    def __init__(self, **settings: Any) -> None:
        own = {key: value for key, value in settings.items() if key != "kind"}
        self.settings: Any = parse(self.Settings, own, f"dataset {self.name}")

    def determining(self) -> dict[str, Any]:
        """Return the settings that affect results, as JSON; paths are not among them."""
        values: dict[str, Any] = self.settings.model_dump(mode="json")
        return {key: value for key, value in values.items() if key not in self.places}

    def folder(self, root: Path | None) -> Path:
        """Return the directory of the index's relative paths; `DataError` if it is unknown or missing."""
        if (question := self.unplaced(root)) is not None:
            raise DataError(question)
        own = getattr(self.settings, "root", None)
        place = (root or Path()) / (self.default_folder if own is None else own)
        if not place.is_dir():
            raise DataError(
                f"dataset {self.name}: there is no folder {place}; put the files there, or say where they are with "
                f"data_root, DATA_DIR or data: {{{self.name}: {{root: /path}}}}"
            )
        return place

    def unplaced(self, root: Path | None) -> str | None:
        """Return a message that asks for the directory, if neither ``root`` nor the settings name it."""
        own = getattr(self.settings, "root", None)
        if root is not None or (own is not None and Path(own).is_absolute()):
            return None
        return (
            f"where is {self.name}? Give the folder that holds it as data_root in the settings or DATA_DIR in the "
            f"environment, or its own: data: {{{self.name}: {{root: /path}}}}"
        )

    def index(self, root: Path | None, cores: int = 1) -> Index:
        """Return the index, built with ``cores`` processes; `DataError` for missing or damaged files."""
        raise NotImplementedError

    def resident(self, index: Index) -> bool:
        """Return whether `load` supports the images: they have one size and fit into `RESIDENT_BYTES`."""
        if index.size is None:
            return False
        height, width = index.size
        return 3 * height * width * (len(index.train.labels) + len(index.test.labels)) <= RESIDENT_BYTES

    def load(self, index: Index, root: Path | None, which: Which) -> InMemory:
        """Return the images of one half, in the index's order."""
        raise NotImplementedError


datasets: Registry[type[Dataset]] = Registry("dataset", "cassle.data.datasets", IN_STREAMS)
"""Dataset name -> class."""


def declare(data: Mapping[str, Mapping[str, Any]]) -> None:
    """Register the datasets that settings declare by their ``kind``: ``{birds: {kind: folder}}``.

    This gives several image directories a name each. Raises `SettingsError` for a name that is taken or that is not
    allowed in the name of a stream.
    """
    for name, settings in data.items():
        if "kind" not in settings:
            continue
        kind = datasets.get(str(settings["kind"]))
        if name in datasets.names() and datasets.get(name).kind is None:
            raise SettingsError(f"dataset '{name}' is one of its own, so it cannot be a {kind.name}; take another name")
        facts = {"name": name, "kind": kind.name, "default_folder": name, "__module__": kind.__module__}
        datasets.register(name)(type(kind.__name__, (kind,), facts))
