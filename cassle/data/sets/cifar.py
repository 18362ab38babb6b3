"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in torchvision's layout: 32x32 pixels, 50,000 and 10,000 images."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from cassle.data.base import DataSet, Rooted, data_sets
from cassle.data.facts import (
    CIFAR10_USUAL,
    CIFAR100_USUAL,
    CIFAR_ORIGINAL,
    PAPER_ORDER_10,
    PAPER_ORDER_100,
    Statistics,
)


class CIFARSettings(Rooted):
    """Settings of both CIFARs."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalised with: the data set's own, or the original's"
    )
    download: bool = Field(True, description="download the files if they are not there")


@data_sets.register("cifar10")
class CIFAR10(DataSet):
    """Ten classes; ``original`` statistics have other standard deviations than the data (0.243, not 0.2435)."""

    Settings = CIFARSettings
    name = "cifar10"
    image_size = 32
    num_classes = 10
    domains = ("photo",)
    class_order: ClassVar[tuple[int, ...]] = PAPER_ORDER_10
    mean, std = CIFAR10_USUAL

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.settings.statistics == "original":
            self.mean, self.std = CIFAR_ORIGINAL


@data_sets.register("cifar100")
class CIFAR100(CIFAR10):
    """A hundred classes, numbered as torchvision's fine labels; ``original`` statistics are those of CIFAR-10."""

    name = "cifar100"
    num_classes = 100
    class_order = PAPER_ORDER_100
    mean, std = CIFAR100_USUAL
