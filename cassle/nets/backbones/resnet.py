"""ResNet-18 and ResNet-50 as torchvision builds them, with the small stem where images are small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from cassle.core.options import Options
from cassle.nets.base import Backbone, backbones

SMALL_IMAGE = 64
"""Up to this side, the stem is one 3x3 convolution of stride 1 without pooling (He et al. 2016, Section 4.2)."""


class ResNetSettings(Options):
    """Settings of a ResNet."""

    stem_padding: int = Field(
        1, ge=0, le=2, description="padding of the small stem: 1 keeps the image's side, 2 enlarges it by 2 (original)"
    )


class ResNet(Backbone[ResNetSettings]):
    """A torchvision ResNet without its classifier; submodules keep torchvision's names."""

    Settings = ResNetSettings
    architecture: ClassVar[str]

    def __init__(self, image_size: int, settings: ResNetSettings) -> None:
        import torchvision.models

        super().__init__(image_size, settings)
        network: Any = torchvision.models.get_model(self.architecture)
        self.feature_dim = network.fc.in_features
        small = image_size <= SMALL_IMAGE
        self.conv1 = nn.Conv2d(3, 64, 3, padding=settings.stem_padding, bias=False) if small else network.conv1
        if small:
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = network.bn1
        self.relu = network.relu
        self.maxpool = nn.Identity() if small else network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the map of each of the four stages and the features, as `Backbone.stages`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps, x.mean(dim=(2, 3))

    @classmethod
    def original(cls, image_size: int) -> Mapping[str, Any]:
        """Return the padding of the release's small stem."""
        return {"stem_padding": 2} if image_size <= SMALL_IMAGE else {}

    @classmethod
    def as_code(cls, name: str, image_size: int, settings: ResNetSettings) -> str:
        """Return lines that build torchvision's network with a stem for such images, as `Backbone.as_code`."""
        lines = ["import torchvision", "", f"network = torchvision.models.{cls.architecture}()"]
        if image_size <= SMALL_IMAGE:
            lines += [
                f"network.conv1 = torch.nn.Conv2d(3, 64, 3, padding={settings.stem_padding}, bias=False)",
                "network.maxpool = torch.nn.Identity()",
            ]
        return "\n".join([*lines, "network.fc = torch.nn.Identity()"])


@backbones.register("resnet18")
class ResNet18(ResNet):
    """ResNet-18 (He et al. 2016), 512 features."""

    title = "ResNet-18"
    architecture = "resnet18"


@backbones.register("resnet50")
class ResNet50(ResNet):
    """ResNet-50 (He et al. 2016), 2048 features."""

    title = "ResNet-50"
    architecture = "resnet50"
