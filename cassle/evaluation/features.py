"""Features of frozen backbones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from cassle.nets.base import Backbone


class Readable(Protocol):
    """Images that can be read by position."""

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor: ...


@torch.no_grad()
def extract_features(
    backbone: Backbone, images: Readable, batch_size: int, device: torch.device, clean: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the float32 features (N, F) of all images, in their order, on ``device``.

    ``clean`` turns uint8 images into what the backbone takes. The backbone runs in evaluation mode, so its BatchNorm
    statistics stay as they are, and is left in the mode it came in.
    """
    mode = backbone.training
    backbone.eval()
    try:
        rows = torch.arange(len(images)).split(batch_size)
        return torch.cat([backbone(clean(images.read(index).to(device))).float() for index in rows])
    finally:
        backbone.train(mode)
