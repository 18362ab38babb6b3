"""DomainNet (Peng et al. 2019): 345 classes in six domains, as its official lists of training and test images say."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cassle.data.base import DataSet, Rooted, data_sets
from cassle.data.facts import IMAGENET_ORIGINAL, IMAGENET_USUAL, Statistics


class DomainNetSettings(Rooted):
    """Settings of DomainNet."""

    statistics: Statistics = Field(
        "usual", description="mean and std that images are normalised with; original: red std 0.228 for 0.229"
    )


@data_sets.register("domainnet")
class DomainNet(DataSet):
    """Domains in the order of the release."""

    Settings = DomainNetSettings
    name = "domainnet"
    image_size = 224
    num_classes = 345
    domains = ("real", "quickdraw", "painting", "sketch", "infograph", "clipart")
    mean, std = IMAGENET_USUAL
    gpus = 4
    default_folder = "domainnet"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if self.settings.statistics == "original":
            self.mean, self.std = IMAGENET_ORIGINAL
