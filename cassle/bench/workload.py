"""The workload of a benchmark: views and sizes of a recipe, and synthetic images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from cassle.contracts.specs import TrainSpec
from cassle.core.options import Options
from cassle.data.base import Dataset, datasets
from cassle.plan import Plan, resolve
from cassle.settings.reading import read_study
from cassle.settings.study import Choice


class RecipeSettings(Options):
    """Which recipe is measured; no file of the dataset is read."""

    dataset: str = Field("digits", description="dataset whose sizes and recipe are taken")
    objective: str = Field("simclr", description="objective whose recipe is taken")
    batch_size: int | None = Field(None, gt=1, description="images at a time; null: the recipe's")
    height: int | None = Field(None, gt=0, description="height of the images; null: the dataset's, 375 for large ones")
    width: int | None = Field(None, gt=0, description="width of the images; null: the dataset's, 500 for large ones")
    recipes: str | None = Field(None, description="folder of recipes, if not the repository's")
    rounds: int = Field(7, gt=1, description="turns of every case that are counted")

    def words(self) -> dict[str, Any]:
        """Return the words of a study of this recipe."""
        training = {} if self.batch_size is None else {"batch_size": self.batch_size}
        words = {"stream": f"{self.dataset}-data2", "objective": self.objective, "strategy": "cassle"}
        return {**words, "training": training, "recipes": self.recipes}

    def facts(self) -> Dataset:
        """Return the dataset by its facts."""
        return datasets.get(self.dataset)()

    def image_size(self) -> tuple[int, int]:
        """Return height and width of the synthetic images."""
        side = self.facts().image_size
        large = side > 64
        return self.height or (375 if large else side), self.width or (500 if large else side)


def plan_of(words: dict[str, Any], backbone: Choice | None = None) -> Plan:
    """Return the plan of a run of two tasks that words name."""
    chosen = {} if backbone is None else {"backbone": backbone}
    return resolve(read_study({key: value for key, value in {**words, **chosen}.items() if value is not None}))


def specs(words: dict[str, Any], backbone: Choice | None = None) -> list[TrainSpec]:
    """Return the specifications of both tasks of a run that overrides name."""
    return [job.spec for job in plan_of(words, backbone).train.values()]


def pictures(count: int, height: int, width: int) -> Tensor:
    """Return synthetic images (count, 3, height, width) uint8: smooth, with some noise, as photographs are."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(256, size=(9, 12, 3), dtype=np.uint8))
        smooth = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = smooth + rng.integers(-12, 13, size=smooth.shape)
        made.append(torch.from_numpy(noisy.clip(0, 255).astype(np.uint8)).permute(2, 0, 1))
    return torch.stack(made)
