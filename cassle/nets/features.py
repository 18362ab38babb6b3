"""Features of a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor

from cassle.core.errors import DivergenceError
from cassle.nets.base import Backbone

CLEAN_BATCH = 256
"""Images of one forward pass without augmentation."""


class Readable(Protocol):
    """Images that can be read by sample index."""

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 with sample indices (B,)."""
        ...


class Subset:
    """A subset of images, read by index within the subset."""

    def __init__(self, images: Readable, indices: Tensor) -> None:
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 with indices (B,) within the subset."""
        return self.images.read(self.indices[index.to(self.indices.device)])


def extract_features(
    backbone: Backbone,
    images: Readable,
    batch_size: int,
    device: torch.device | str,
    clean: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the features (N, F) of all images in evaluation mode, on ``device``, where the backbone must be.

    ``clean`` turns uint8 images into what the backbone takes, without augmentation. Raises as `features_of`.
    """
    parts = torch.split(torch.arange(len(images)), batch_size) if len(images) else ()
    return features_of(backbone, (clean(images.read(index).to(device)) for index in parts), device)


@torch.no_grad()
def features_of(backbone: Backbone, batches: Iterable[Tensor], device: torch.device | str) -> Tensor:
    """Return the features (N, F) of batches (B, 3, S, S) in evaluation mode, on ``device``, where the backbone must be.

    Batches may come from any device and are not kept. The training mode of every module is restored. Raises
    `DivergenceError` if a feature is NaN or infinite.
    """
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        parts = [backbone(batch.to(device)) for batch in batches]
    finally:
        for module, mode in modes.items():
            module.training = mode
    features = torch.cat(parts) if parts else torch.empty(0, backbone.feature_dim, device=device)
    if not bool(torch.isfinite(features).all()):
        raise DivergenceError(
            "the backbone gives features that are NaN or infinite: its training has diverged. Train again with a lower "
            "learning rate, from the last checkpoint that is sound"
        )
    return features
