"""Handwritten digits in six domains: 1,797 real images that ship with scikit-learn, at 16x16 pixels.

Every domain holds every image, changed by one fixed transformation; an image belongs to the training or to the test
half in all domains alike, so that no test image is ever trained on in another guise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cassle.core.errors import DataError
from cassle.data.base import Dataset, Index, InMemory, Part, Which, content_fingerprint, datasets

if TYPE_CHECKING:
    from torch import Tensor

SEED = 20220
"""Private seed of the split and of the textures; no run's seed changes the data."""
TEST_SHARE = 0.2


def plain(images: Tensor) -> Tensor:
    """Light digit on black, the three channels equal."""
    return images


def inverted(images: Tensor) -> Tensor:
    """Dark digit on white."""
    return 1 - images


def rotated(images: Tensor) -> Tensor:
    """Turned by a quarter."""
    return images.rot90(1, dims=(2, 3))


def textured(images: Tensor) -> Tensor:
    """In front of a smooth random texture, another one for each image."""
    import torch
    import torch.nn.functional as F

    noise = torch.rand(len(images), 1, 6, 6, generator=torch.Generator().manual_seed(SEED))
    texture = F.interpolate(noise, size=images.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)
    return torch.maximum(images, 0.8 * texture)


def edges(images: Tensor) -> Tensor:
    """Outlines only: the length of the image's gradient."""
    import torch.nn.functional as F

    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return (dx.square() + dy.square()).sqrt().clamp(0, 1)


def striped(images: Tensor) -> Tensor:
    """Signs flipped in every other pair of columns."""
    import torch

    stripes = (torch.arange(images.shape[-1]) // 2 % 2).bool()
    return torch.where(stripes, 1 - images, images)


DOMAINS = {
    "edges": edges,
    "striped": striped,
    "textured": textured,
    "inverted": inverted,
    "plain": plain,
    "rotated": rotated,
}
"""In the order of the tasks: the richer images come later, which makes what is forgotten of the first ones visible."""


@datasets.register("digits")
class Digits(Dataset):
    """Ten classes, six domains of 1,797 images; the index holds the pixels."""

    name = "digits"
    image_size = 16
    num_classes = 10
    domains = tuple(DOMAINS)
    mean = (0.4, 0.4, 0.4)
    std = (0.35, 0.35, 0.35)
    default_backbone = "conv3"

    def index(self, root: Path | None, cores: int = 1) -> Index:
        """Render every domain once; ``root`` is not needed."""
        import torch
        import torch.nn.functional as F
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.as_tensor(digits.images, dtype=torch.float32)[:, None] / 16
        images = F.interpolate(images, size=self.image_size, mode="bicubic", align_corners=False).clamp(0, 1)
        rendered = {name: draw(images) for name, draw in DOMAINS.items()}
        labels = digits.target.astype(np.int64)
        test = _test_half(labels)
        train_half, test_half = (
            _part({name: pixels[torch.as_tensor(keep)] for name, pixels in rendered.items()}, labels[keep])
            for keep in (~test, test)
        )
        classes = tuple(str(digit) for digit in range(10))
        made = content_fingerprint(train_half, test_half)
        size = (self.image_size, self.image_size)
        return Index(self.name, classes, self.domains, train_half, test_half, made, size)

    def load(self, index: Index, root: Path | None, which: Which) -> InMemory:
        """Return the images of one half; they lie in the index."""
        import torch

        part = index.part(which)
        if part.pixels is None:
            raise DataError("the index of digits holds no images; delete it and run `cassle prepare` again")
        return InMemory(*(torch.as_tensor(array) for array in (part.pixels, part.labels, part.domains)))


def _test_half(labels: np.ndarray) -> np.ndarray:
    """Return which images are test images: a fifth of every class."""
    rng = np.random.default_rng(SEED)
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        own = rng.permutation(np.flatnonzero(labels == digit))
        test[own[: round(TEST_SHARE * len(own))]] = True
    return test


def _part(domains: dict[str, Tensor], labels: np.ndarray) -> Part:
    import torch

    pixels = torch.cat([(255 * images).round().to(torch.uint8).expand(-1, 3, -1, -1) for images in domains.values()])
    numbers = np.repeat(np.arange(len(domains)), len(labels))
    return Part(np.tile(labels, len(domains)), numbers.astype(np.int64), pixels.contiguous().numpy())
