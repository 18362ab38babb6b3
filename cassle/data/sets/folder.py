"""Any folder of images: class folders, or class folders in domain folders."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cassle.data.base import DataSet, Rooted, data_sets
from cassle.data.facts import IMAGENET_USUAL


class FolderSettings(Rooted):
    """Settings of a folder of images."""

    image_size: int = Field(224, gt=0, description="side in pixels that images are used at")
    mean: tuple[float, float, float] = Field(IMAGENET_USUAL[0], description="mean of each channel, of pixels in 0-1")
    std: tuple[float, float, float] = Field(IMAGENET_USUAL[1], description="standard deviation of each channel")


@data_sets.register("folder")
class Folder(DataSet):
    """Classes and domains are known once `prepare` has looked; a stream names its number of tasks."""

    Settings = FolderSettings
    name = "folder"
    image_size = 224
    mean, std = IMAGENET_USUAL

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.image_size = self.settings.image_size
        self.mean, self.std = self.settings.mean, self.settings.std
