"""DomainNet (Peng et al. 2019): 345 classes in six domains, split by its official lists of training and test images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from cassle.core.errors import DataError, nearest
from cassle.data.base import datasets
from cassle.data.facts import IMAGENET_ORIGINAL, IMAGENET_USUAL, Statistics
from cassle.data.image_files import FilesSettings, ImageFiles
from cassle.data.index import HALVES
from cassle.data.listing import Listing

DOMAINS = ("real", "quickdraw", "painting", "sketch", "infograph", "clipart")
CLASSES = 345


class DomainNetSettings(FilesSettings):
    """Settings of DomainNet."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalized with; original: red std 0.228 for 0.229"
    )
    domains: list[str] = Field(list(DOMAINS), min_length=1, description="the domains that are there")

    @field_validator("domains")
    @classmethod
    def _known(cls, domains: list[str]) -> list[str]:
        for domain in domains:
            if domain not in DOMAINS:
                raise ValueError(f"there is no domain '{domain}': {nearest(domain, DOMAINS)}")
        if len(set(domains)) < len(domains):
            raise ValueError("name each domain once")
        return domains


@datasets.register("domainnet")
class DomainNet(ImageFiles):
    """``<domain>_train.txt`` and ``<domain>_test.txt`` list ``relative/path label``; domains in the release's order."""

    Settings = DomainNetSettings
    original: ClassVar[Mapping[str, Any]] = {"statistics": "original"}
    original_gpu_batch = 64
    name = "domainnet"
    image_size = 224
    num_classes = CLASSES
    domains = DOMAINS
    mean, std = IMAGENET_USUAL
    gpus = 4
    default_folder = "domainnet"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.domains = tuple(self.settings.domains)
        if self.settings.statistics == "original":
            self.mean, self.std = IMAGENET_ORIGINAL

    def list_files(self, folder: Path) -> Listing:
        """Return the listed files; a class has the name of the directory of its images."""
        names: dict[int, str] = {}
        listing = Listing((), self.domains)
        for number, domain in enumerate(self.domains):
            for which in HALVES:
                for path, label in read_list(folder / f"{domain}_{which}.txt"):
                    name = names.setdefault(label, Path(path).parent.name)
                    if name != Path(path).parent.name:
                        raise DataError(
                            f"label {label} is '{name}' and '{Path(path).parent.name}' in {domain}_{which}.txt; get "
                            "DomainNet's official lists again"
                        )
                    listing.half(which).add([path], label, number)
        if len(names) < CLASSES:
            raise DataError(f"the lists in {folder} name {len(names)} of {CLASSES} classes; get them again, complete")
        listing.classes = tuple(names[label] for label in range(CLASSES))
        return listing


def read_list(file: Path) -> list[tuple[str, int]]:
    """Return the paths and labels of an official list; `DataError` naming the line that is not one."""
    try:
        lines = file.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(
            f"cannot read {file}: {error.strerror}; put DomainNet's official list there, or name the domains you have "
            "with data: {domainnet: {domains: [...]}}"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        path, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not path or not label.isdecimal() or int(label) >= CLASSES:
            raise DataError(f"{file}, line {number}: '{line}' should be 'relative/path label', labels below {CLASSES}")
        rows.append((path, int(label)))
    return rows
