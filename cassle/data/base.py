"""What a dataset is: facts known before it is read, an index made once, and images read by position."""

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
"""Decoded images of a dataset that are still kept in memory as a whole; the same on every machine."""


class Images(Protocol):
    """Images of one half of a dataset, read by position."""

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

    def image(self, position: int) -> Tensor:
        """Return the image (3, H, W) uint8 at a position."""
        return self.images[position]

    def to(self, device: torch.device | str) -> InMemory:
        """Return the same images on a device."""
        return InMemory(self.images.to(device), self.labels.to(device), self.domains.to(device))


class Rooted(Options):
    """Settings of a dataset that lies in files of the user's."""

    root: PathText | None = Field(None, description="folder of this dataset: absolute, or counted from data_root")


class Dataset:
    """Facts of a dataset as attributes; `index` looks at the files once, `load` gives the images.

    ``image_size`` is the side views are made for; ``num_classes`` and ``domains`` are known beforehand or None and
    empty; ``mean`` and ``std`` are per channel, of pixels in 0-1; ``gpus`` is what one training wants by default.
    Facts of the class hold without settings; those of an object follow its settings.
    """

    Settings: ClassVar[type[Options]] = Options
    original: ClassVar[Mapping[str, Any]] = {}
    """Settings of the official release where they differ from the defaults; `preset: original` sets them."""
    original_training: ClassVar[Mapping[str, Any]] = {}
    """The same for settings of the training."""
    original_gpu_batch: ClassVar[int | None] = None
    """Images per GPU of the official release, if it trained on several."""
    name: ClassVar[str]
    kind: ClassVar[str | None] = None
    """The dataset that this one is under another name, see `declare`; recipes of that one suit it too."""
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
    """Where the files lie below data_root if no ``root`` is set."""
    places: ClassVar[frozenset[str]] = frozenset({"root", "download"})
    """Settings that say where files are, and determine no result."""
    view_keys: ClassVar[frozenset[str]] = frozenset({"image_size", "statistics", "mean", "std"})
    """Settings that determine how images are used, and leave the index as it is."""

    def __init__(self, **settings: Any) -> None:
        own = {key: value for key, value in settings.items() if key != "kind"}
        self.settings: Any = parse(self.Settings, own, f"dataset {self.name}")

    def determining(self) -> dict[str, Any]:
        """Return the settings that determine results, as JSON; places are none of them."""
        values: dict[str, Any] = self.settings.model_dump(mode="json")
        return {key: value for key, value in values.items() if key not in self.places}

    def folder(self, root: Path | None) -> Path:
        """Return the folder that paths of the index count from; `DataError` if it is unknown or not there."""
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
        """Return the question where the files are, if neither ``root`` nor the settings answer it."""
        own = getattr(self.settings, "root", None)
        if root is not None or (own is not None and Path(own).is_absolute()):
            return None
        return (
            f"where is {self.name}? Give the folder that holds it as data_root in the settings or DATA_DIR in the "
            f"environment, or its own: data: {{{self.name}: {{root: /path}}}}"
        )

    def index(self, root: Path | None, cores: int = 1) -> Index:
        """Return the index, made with ``cores`` processes; `DataError` for whatever is missing or broken."""
        raise NotImplementedError

    def resident(self, index: Index) -> bool:
        """Return whether `load` may be asked for the images: one size, and small enough to be kept in memory."""
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

    So several folders of images have names of their own. Raises `SettingsError` for a name that is taken or that no
    stream could be called by.
    """
    for name, settings in data.items():
        if "kind" not in settings:
            continue
        kind = datasets.get(str(settings["kind"]))
        if name in datasets.names() and datasets.get(name).kind is None:
            raise SettingsError(f"dataset '{name}' is one of its own, so it cannot be a {kind.name}; take another name")
        facts = {"name": name, "kind": kind.name, "default_folder": name, "__module__": kind.__module__}
        datasets.register(name)(type(kind.__name__, (kind,), facts))
