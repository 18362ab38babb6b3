"""Any directory of images: class directories, optionally in domain directories, with test images or a seeded split."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from cassle.core.errors import DataError
from cassle.data.base import datasets
from cassle.data.facts import IMAGENET_USUAL
from cassle.data.image_files import FilesSettings, ImageFiles
from cassle.data.listing import Listing, images_under, subfolders

TEST_FOLDERS = ("val", "test")


class FolderSettings(FilesSettings):
    """Settings of a folder of images."""

    layout: Literal["classes", "domains"] = Field(
        "classes", description="classes: folders of images, one per class; domains: such folders in one per domain"
    )
    test_folder: Literal["val", "test"] | None = Field(
        None, description="which folder beside train holds the test images, where both are there"
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="share of every class that is test, where there is no train folder"
    )
    split_seed: int = Field(0, description="seed of that split, apart from the seeds of runs")
    image_size: int = Field(224, gt=0, description="side in pixels that images are used at")
    mean: tuple[float, float, float] = Field(IMAGENET_USUAL[0], description="mean of each channel, of pixels in 0-1")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        IMAGENET_USUAL[1], description="standard deviation of each channel"
    )


@datasets.register("folder")
class Folder(ImageFiles):
    """A directory of images; `prepare` finds its classes and domains, and a stream states its number of tasks."""

    Settings = FolderSettings
    name = "folder"
    image_size = 224
    mean, std = IMAGENET_USUAL

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.image_size = self.settings.image_size
        self.mean, self.std = self.settings.mean, self.settings.std

    def list_files(self, folder: Path) -> Listing:
        """Return the files of ``train`` and ``val`` or ``test``; else a seeded share of each class is test."""
        halves = self._halves(folder)
        places = {name: self._places(folder / name) for name in halves}
        tops = list(halves)
        domains = sorted({domain for found in places.values() for domain, _ in found})
        classes = sorted({label for _, label in places[tops[0]]})
        listing = Listing(tuple(classes), tuple(domain or "images" for domain in domains))
        for top in tops:
            for domain, name in places[top]:
                if name not in classes:
                    raise DataError(f"{folder / top} has a class '{name}' that {folder / tops[0]} has not")
                parts = (part for part in (top, domain, name) if part)
                images = images_under(folder, "/".join(parts), listing.ignored)
                for which, paths in self._cut(images, halves[top]).items():
                    half = listing.train if which == "train" else listing.test
                    half.add(paths, classes.index(name), domains.index(domain))
        return listing

    def _halves(self, folder: Path) -> dict[str, str]:
        """Return folder -> half, the training folder first; a folder called '' is both halves, to be cut."""
        there = [name for name in TEST_FOLDERS if (folder / name).is_dir()]
        wanted = self.settings.test_folder
        if not (folder / "train").is_dir() or not (there or wanted):
            return {"": "both"}
        if wanted is None and len(there) == 2:
            raise DataError(f"{folder} has val and test; say which to test on: data: {{folder: {{test_folder: val}}}}")
        return {"train": "train", wanted or there[0]: "test"}

    def _places(self, top: Path) -> list[tuple[str, str]]:
        """Return (domain, class) of every class folder, sorted; the domain is '' where there is none."""
        if self.settings.layout == "classes":
            return [("", name) for name in subfolders(top, "the classes")]
        domains = subfolders(top, "the domains")
        return [(domain, name) for domain in domains for name in subfolders(top / domain, "the classes of a domain")]

    def _cut(self, images: list[str], half: str) -> dict[str, list[str]]:
        """Return half -> images of one class; a share of them, at least one but never all, is test.

        An image's rank is a hash of seed and path, so that new images hardly move the others between the halves.
        """
        if half != "both":
            return {half: images}
        count = min(max(1, math.floor(self.settings.test_share * len(images) + 0.5)), len(images) - 1)
        test = set(sorted(images, key=self._rank)[: max(0, count)])
        return {
            "train": [path for path in images if path not in test],
            "test": [path for path in images if path in test],
        }

    def _rank(self, path: str) -> bytes:
        return hashlib.sha256(f"{self.settings.split_seed}/".encode() + os.fsencode(path)).digest()
