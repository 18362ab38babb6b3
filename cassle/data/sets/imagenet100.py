"""ImageNet100: 100 classes of ImageNet (Tian et al. 2020, CMC), as class folders or picked from a full ImageNet."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cassle.data.base import DataSet, Rooted, data_sets
from cassle.data.facts import IMAGENET_ORIGINAL, IMAGENET_USUAL, PAPER_ORDER_100, Statistics


class ImageNet100Settings(Rooted):
    """Settings of ImageNet100."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalised with; original: red std 0.228 for 0.229"
    )
    wnids: str | list[str] | None = Field(
        None, description="file that lists the 100 wnids to pick from a full ImageNet; none: all class folders"
    )


@data_sets.register("imagenet100")
class ImageNet100(DataSet):
    """A hundred classes; the label is the wnid's place in sorted order."""

    Settings = ImageNet100Settings
    name = "imagenet100"
    image_size = 224
    num_classes = 100
    domains = ("photo",)
    class_order = PAPER_ORDER_100
    mean, std = IMAGENET_USUAL
    gpus = 2
    default_folder = "imagenet100"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.settings.statistics == "original":
            self.mean, self.std = IMAGENET_ORIGINAL
