"""What a backbone is, and the registry of backbones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from cassle.registry import Registry


class Backbone(nn.Module):
    """Maps images (B, 3, S, S) to features (B, `feature_dim`) through stages."""

    feature_dim: int

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the output map (B, C, H, W) of every stage, and the features (B, F)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, F)."""
        return self.stages(images)[1]


backbones: Registry[Callable[..., Backbone]] = Registry("backbone", "cassle.nets.backbones")
"""Backbone name -> function of the image side and stem padding that builds it with random weights."""
