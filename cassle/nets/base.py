"""The base class of backbones and their registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic

from torch import Tensor, nn

from cassle.core.options import Options, S
from cassle.core.registry import Registry


class Backbone(nn.Module, Generic[S]):
    """Maps images (B, 3, S, S) to features (B, `feature_dim`) through stages.

    Subclasses set ``Settings`` and are built from the side of the images and the settings, with random weights.
    """

    Settings: ClassVar[type[Options]] = Options
    title: ClassVar[str]
    """Name in tables and figures; by default the registered name. A subclass does not inherit it."""
    feature_dim: int

    def __init__(self, image_size: int, settings: S) -> None:
        super().__init__()

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the output map (B, C, H, W) of every stage, and the features (B, F)."""
        raise NotImplementedError

    @classmethod
    def original(cls, image_size: int) -> Mapping[str, Any]:
        """Return the settings of the official release where they differ from the defaults, for images of a side.

        `preset: original` sets them.
        """
        return {}

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, F)."""
        return self.stages(images)[1]

    @classmethod
    def as_code(cls, name: str, image_size: int, settings: S) -> str:  # type: ignore[misc]
        """Return Python code that builds ``network`` with the tensor names and shapes of this backbone."""
        return (
            "from cassle.nets.base import backbones\n\n"
            f"kind = backbones.get({name!r})\n"
            f"network = kind({image_size}, kind.Settings(**{settings.model_dump()!r}))"
        )


backbones: Registry[type[Backbone]] = Registry("backbone", "cassle.nets.backbones")
"""Backbone name -> class."""
