"""Features of a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from cassle.errors import DivergenceError
from cassle.nets.base import Backbone


class Readable(Protocol):
    """Images that can be read by position."""

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 at positions (B,)."""
        ...


class Rows:
    """Some of the images, readable by their place among them."""

    def __init__(self, images: Readable, positions: Tensor) -> None:
        self.images, self.positions = images, positions

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, index: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) uint8 at places (B,)."""
        return self.images.read(self.positions[index.to(self.positions.device)])


@torch.no_grad()
def extract_features(
    backbone: Backbone,
    images: Readable,
    batch_size: int,
    device: torch.device | str,
    clean: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the features (N, F) of all images in evaluation mode, on ``device``, where the backbone must be.

    ``clean`` turns uint8 images into what the backbone takes, without augmentation. Every module is left in the mode
    it was in. Raises `DivergenceError` if a feature is NaN or infinite.
    """
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        parts = torch.split(torch.arange(len(images)), batch_size)
        batches = [backbone(clean(images.read(index).to(device))) for index in parts]
    finally:
        for module, mode in modes.items():
            module.training = mode
    features = torch.cat(batches) if len(images) else torch.empty(0, backbone.feature_dim, device=device)
    if not bool(torch.isfinite(features).all()):
        raise DivergenceError(
            "the backbone gives features that are NaN or infinite: its training has diverged. Train again with a lower "
            "learning rate, from the last checkpoint that is sound"
        )
    return features
