"""Images that stay in files and are decoded on each read."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.data.base import Dataset, InMemory
from cassle.data.check import verify
from cassle.data.decode import decode
from cassle.data.index import Index, Part, Which

MARGIN = 256 / 224
"""Shorter side of an image over the side of the square cut out of its middle, as ImageNet is evaluated."""


class FileImages:
    """One half of a dataset whose images stay in files.

    ``size`` is the side of clean views, ``workers`` the number of threads that decode. Paths are stored in two arrays,
    which forked processes share; Python strings would be copied into each process.
    """

    def __init__(self, folder: Path, part: Part, size: int, workers: int = 1) -> None:
        encoded = [os.fsencode(path) for path in part.paths]
        self.folder, self.size, self.workers = folder, size, workers
        self.labels, self.domains = torch.as_tensor(part.labels), torch.as_tensor(part.domains)
        self.ends = np.cumsum([len(path) for path in encoded], dtype=np.int64)
        self.names = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def path(self, sample: int) -> Path:
        """Return the path of a sample."""
        start = self.ends[sample - 1] if sample else 0
        return self.folder / os.fsdecode(self.names[start : self.ends[sample]].tobytes())

    def to(self, device: torch.device | str) -> FileImages:
        """Return the same images: they stay in files on every device."""
        return self

    def image(self, sample: int) -> Tensor:
        """Return the image (3, H, W) uint8 with a sample index, in its own size."""
        return decode(self.path(sample))

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, S, S) uint8 with sample indices (B,), resized and cropped as clean views."""

        def clean(sample: int) -> Tensor:
            return clean_image(self.image(sample), self.size)

        with ThreadPoolExecutor(self.workers) as pool:
            return torch.stack(list(pool.map(clean, index.tolist())))


def load_images(
    dataset: Dataset, index: Index, root: Path | None, which: Which, size: int, workers: int
) -> InMemory | FileImages:
    """Return the images of one half: in memory if they fit, else as files with clean views of ``size``.

    Raises `DataError` for files that are missing or differ from the prepared ones; of images that stay in files, a
    sample is compared.
    """
    if index.part(which).pixels is not None or dataset.resident(index):
        return dataset.load(index, root, which)
    folder, part = dataset.folder(root), index.part(which)
    verify(folder, part, dataset.name)
    return FileImages(folder, part, size, workers)


def clean_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Return height and width that an image is resized to, and top and left of the middle square cut out of it.

    The shorter side becomes 256/224 of ``size``; an image of size x size is left as it is.
    """
    if height == width == size:
        return size, size, 0, 0
    shorter = round(size * MARGIN)
    high, wide = (shorter * side // min(height, width) for side in (height, width))
    return high, wide, round((high - size) / 2), round((wide - size) / 2)


def clean_image(image: Tensor, size: int) -> Tensor:
    """Return (3, size, size) uint8 of an image (3, H, W) uint8: resized with Pillow's kernel, its middle cut out."""
    height, width = image.shape[-2:]
    high, wide, top, left = clean_box(height, width, size)
    if (high, wide) != (height, width):
        image = F.interpolate(image[None], size=(high, wide), mode="bicubic", antialias=True)[0]
    return image[:, top : top + size, left : left + size]
