"""ImageNet100: 100 classes of ImageNet (Tian et al. 2020, CMC), as class folders or picked from a full ImageNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import datasets
from cassle.data.facts import IMAGENET100_WNIDS, IMAGENET_ORIGINAL, IMAGENET_USUAL, PAPER_ORDER_100, Statistics
from cassle.data.image_files import FilesSettings, ImageFiles
from cassle.data.listing import Listing, images_under, subfolders

FOLDERS = {"train": "train", "test": "val"}
"""Half -> its folder."""


class ImageNet100Settings(FilesSettings):
    """Settings of ImageNet100."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalized with; original: red std 0.228 for 0.229"
    )
    wnids: str | list[str] | None = Field(
        None, description="file that lists 100 wnids to pick; none: all of 100 class folders, of more the paper's"
    )


@datasets.register("imagenet100")
class ImageNet100(ImageFiles):
    """A hundred classes in ``train/<wnid>`` and ``val/<wnid>``; the label is the rank of the wnid in sorted order."""

    Settings = ImageNet100Settings
    original: ClassVar[Mapping[str, Any]] = {"statistics": "original"}
    original_gpu_batch = 128
    name = "imagenet100"
    image_size = 224
    num_classes = 100
    domains = ("photo",)
    class_order = PAPER_ORDER_100
    mean, std = IMAGENET_USUAL
    gpus = 2
    default_folder = "imagenet100"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.settings.statistics == "original":
            self.mean, self.std = IMAGENET_ORIGINAL
        self.wnids = self._read_wnids()

    def determining(self) -> dict[str, Any]:
        """Return the settings that determine results: wnids other than the paper's, not the path of their list."""
        own = None if self.wnids == list(IMAGENET100_WNIDS) else self.wnids
        return {**super().determining(), "wnids": own}

    def _read_wnids(self) -> list[str] | None:
        given = self.settings.wnids
        if given is None:
            return None
        if isinstance(given, str):
            try:
                given = [line.split()[0] for line in Path(given).read_text().splitlines() if line.strip()]
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"dataset imagenet100: cannot read the list of wnids {given}: {error}") from error
        wrong = [word for word in given if not re.fullmatch(r"n\d{8}", word)]
        if wrong or len(set(given)) != 100:
            found = f"'{wrong[0]}'" if wrong else f"{len(set(given))} different ones"
            raise SettingsError(f"dataset imagenet100: wnids must list 100 wnids such as n02869837, not {found}")
        return sorted(given)

    def list_files(self, folder: Path) -> Listing:
        """Return the files of ``train`` and ``val``, each class a folder of both."""
        there = {which: subfolders(folder / name, "the classes") for which, name in FOLDERS.items()}
        classes = self.wnids or _chosen(folder, there["train"])
        listing = Listing(tuple(classes), self.domains)
        if set(classes) != set(IMAGENET100_WNIDS):
            listing.remarks.append("the classes are not the paper's hundred, so published numbers are of others")
        for which, name in FOLDERS.items():
            if lacking := sorted(set(classes) - set(there[which])):
                raise DataError(
                    f"{len(lacking)} of the 100 classes have no folder in {folder / name}: {', '.join(lacking[:10])}"
                )
            if classes == there["train"] and (more := sorted(set(there[which]) - set(classes))):
                raise DataError(f"{folder / name} has classes that training has not: {', '.join(more[:10])}")
            for label, wnid in enumerate(classes):
                files = listing.train if which == "train" else listing.test
                files.add(images_under(folder, f"{name}/{wnid}", listing.ignored), label)
        return listing


def _chosen(folder: Path, there: list[str]) -> list[str]:
    """Return all classes if they are a hundred, or of a full ImageNet the paper's; `DataError` if there are neither."""
    if len(there) == len(IMAGENET100_WNIDS):
        return there
    if set(IMAGENET100_WNIDS) <= set(there):
        return list(IMAGENET100_WNIDS)
    raise DataError(
        f"{folder / 'train'} holds {len(there)} class folders: neither a hundred, nor the paper's hundred among "
        "others. To pick others, list their wnids: data: {imagenet100: {wnids: /path/to/list.txt}}"
    )
