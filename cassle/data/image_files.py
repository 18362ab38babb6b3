"""The base class of datasets of image files: a subclass lists the files."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from cassle.core.errors import DataError
from cassle.data.base import Dataset, InMemory, Rooted
from cassle.data.check import Look, changed, check_classes, digest_of, look_at
from cassle.data.decode import decode_bytes, read_bytes, shown
from cassle.data.index import HALVES, Index, Part, Which, content_fingerprint
from cassle.data.listing import Files, Listing
from cassle.data.report import as_lines, in_both, without_test_images


class FilesSettings(Rooted):
    """Settings of every dataset of image files."""

    on_bad_image: Literal["fail", "skip"] = Field(
        "fail", description="treatment of unreadable images in prepare: fail, or leave them out and list them"
    )


class ImageFiles(Dataset):
    """A dataset of image files; subclasses implement `list_files`."""

    Settings = FilesSettings

    def list_files(self, folder: Path) -> Listing:
        """Return the files of a folder, none of them opened; `DataError` for a layout that is not the expected one."""
        raise NotImplementedError

    def index(self, root: Path | None, cores: int = 1) -> Index:
        """Read every image once; `DataError` names unreadable images and classes without images."""
        folder = self.folder(root)
        listing = self.list_files(folder)
        looks = [look_at(folder, listing.half(which).paths, cores) for which in HALVES]
        problems = [problem for look in looks for problem in look.problems.values()]
        if problems and self.settings.on_bad_image == "fail":
            raise DataError(
                f"{self.name} has {len(problems)} images that cannot be used:\n{as_lines(problems)}\n"
                f"Replace or remove them, or leave them out with data: {{{self.name}: {{on_bad_image: skip}}}}"
            )
        train, test = (_part(listing.half(which), look) for which, look in zip(HALVES, looks, strict=True))
        check_classes(self.name, listing.classes, train, test)
        low, high = _extremes(looks)
        size = (low[0], low[1]) if low == high else None
        notes = _notes(listing, looks, train, test, problems)
        made = content_fingerprint(train, test)
        return Index(self.name, listing.classes, listing.domains, train, test, made, size, notes)

    def load(self, index: Index, root: Path | None, which: Which) -> InMemory:
        """Return the decoded images of one half; `DataError` if sizes differ or a file is not the prepared one."""
        import torch

        part, folder = index.part(which), self.folder(root)
        if index.size is None or not self.resident(index):
            raise DataError(f"the images of {self.name} are too large or too different to be kept in memory as a whole")
        pixels = np.empty((len(part.paths), *index.size, 3), dtype=np.uint8)

        def read(sample: int) -> None:
            path = folder / part.paths[sample]
            content = read_bytes(path)
            if part.digests is None or digest_of(content) != part.digests[sample]:
                raise DataError(changed(self.name, shown(path)))
            pixels[sample] = decode_bytes(content, path)[0]

        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(read, range(len(part.paths))):
                pass
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        return InMemory(images, torch.as_tensor(part.labels), torch.as_tensor(part.domains))


def _part(files: Files, look: Look) -> Part:
    """Return the half of an index, bad images left out."""
    kept = np.ones(len(files.paths), dtype=bool)
    kept[list(look.problems)] = False
    labels, domains = (np.array(values, dtype=np.int64)[kept] for values in (files.labels, files.domains))
    paths = tuple(path for path, keep in zip(files.paths, kept, strict=True) if keep)
    return Part(labels, domains, None, paths, look.digests[kept])


def _notes(listing: Listing, looks: list[Look], train: Part, test: Part, problems: list[str]) -> str:
    """Return the remarks for the user, as a Markdown list."""
    notes = list(listing.remarks)
    if problems:
        lines = as_lines(problems, most=len(problems))
        notes.append(f"**{len(problems)} images left out** as they cannot be used:\n\n{lines}\n")
    notes += without_test_images(listing.classes, test)
    notes += in_both(train, test)
    low, high = _extremes(looks)
    if low != high:
        notes.append(f"height from {low[0]} to {high[0]}, width from {low[1]} to {high[1]} pixels")
    kinds = sum((look.kinds for look in looks), Counter[str]())
    notes += [f"{count} images converted or turned when read: {kind}" for kind, count in sorted(kinds.items())]
    notes += [f"{count} files ignored, no images: {ending}" for ending, count in sorted(listing.ignored.items())]
    return "\n".join(f"* {note}" for note in notes)


def _extremes(looks: list[Look]) -> tuple[list[int], list[int]]:
    """Return the smallest and the largest height and width of all images that can be used."""
    sizes = np.concatenate([look.sizes[look.sizes[:, 0] > 0] for look in looks])
    return sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
