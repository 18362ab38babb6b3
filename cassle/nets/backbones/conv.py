"""A small convolutional network for images of 8 to 32 pixels, trained in seconds on a CPU."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone, backbones


class ConvNet(Backbone):
    """Stages of 3x3 convolution, BatchNorm and ReLU, halving the side between them; features are the mean map."""

    widths: ClassVar[tuple[int, ...]]

    def __init__(self, image_size: int, settings: Options) -> None:
        super().__init__(image_size, settings)
        self.blocks = nn.ModuleList()
        channels = 3
        for stage, width in enumerate(self.widths):
            stride = 1 if stage == 0 else 2
            self.blocks.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
            )
            channels = width
        self.feature_dim = channels

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the map of every stage and the features, as `Backbone.stages`."""
        maps = []
        for block in self.blocks:
            images = block(images)
            maps.append(images)
        return maps, images.mean(dim=(2, 3))


@backbones.register("conv3")
class Conv3(ConvNet):
    """Three stages of 16, 32 and 64 channels."""

    title = "Conv-3"
    widths = (16, 32, 64)


@backbones.register("conv3-narrow")
class Conv3Narrow(ConvNet):
    """Three stages of 8, 16 and 32 channels, for tests of the workflow."""

    title = "Conv-3 narrow"
    widths = (8, 16, 32)
