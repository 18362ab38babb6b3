"""Lists of image files, made before any file is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cassle.core.errors import DataError
from cassle.data.decode import shown
from cassle.data.index import Which

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})
"""What counts as an image, as in torchvision's ImageFolder."""


@dataclass
class Files:
    """The files of one half, not looked at yet: path relative to the dataset's folder, label and domain of each."""

    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    domains: list[int] = field(default_factory=list)

    def add(self, paths: Sequence[str], label: int, domain: int = 0) -> None:
        """Add files of one class and domain."""
        self.paths.extend(paths)
        self.labels.extend([label] * len(paths))
        self.domains.extend([domain] * len(paths))


@dataclass
class Listing:
    """What a dataset's folders or lists say, before any image is read.

    ``ignored`` counts files by ending; ``remarks`` are sentences for the report of the dataset.
    """

    classes: tuple[str, ...]
    domains: tuple[str, ...]
    train: Files = field(default_factory=Files)
    test: Files = field(default_factory=Files)
    ignored: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)

    def half(self, which: Which) -> Files:
        """Return the training or the test half."""
        return self.train if which == "train" else self.test


def subfolders(folder: Path, what: str) -> list[str]:
    """Return the names of the folders in a folder, hidden ones left out; `DataError` where there is none."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    except OSError as error:
        raise DataError(f"{what} should be folders in {shown(folder)}: {error.strerror}") from error
    if not names:
        raise DataError(f"{what} should be folders in {shown(folder)}, but there is no folder in it")
    return names


def images_under(top: Path, folder: str, ignored: Counter[str], above: frozenset[str] = frozenset()) -> list[str]:
    """Return the paths of images in ``top / folder``, relative to ``top``, sorted; then those of its subfolders.

    Links are followed, but not in circles; hidden files are passed over; ``ignored`` counts files that are no images.
    """
    place = os.path.realpath(top / folder)
    if place in above:
        return []
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder {shown(top / folder)} cannot be listed: {error.strerror}") from error
    entries = [entry for entry in entries if entry.name[0] != "."]
    folders = [entry.name for entry in entries if entry.is_dir()]
    files = [entry.name for entry in entries if not entry.is_dir()]
    images = [name for name in files if os.path.splitext(name)[1].lower() in EXTENSIONS]
    ignored.update(os.path.splitext(name)[1].lower() or name for name in set(files) - set(images))
    found = [f"{folder}/{name}" for name in images]
    for name in folders:
        found += images_under(top, f"{folder}/{name}", ignored, above | {place})
    return found
