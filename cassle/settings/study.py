"""Settings of a study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from cassle.core.options import Options, PathText, merged
from cassle.settings.site import Site

LONGEST_STUDY = 100
"""Largest number of characters in the name of a study."""
Choice = str | dict[str, Any]
"""A name, or a mapping with `name` and the settings in which it differs from its recipe."""


class Grid(Options):
    """Every stream with every backbone, objective, strategy and seed."""

    streams: list[Choice] = Field(
        default_factory=list, description="datasets cut into tasks to train and evaluate on, such as cifar100-class5"
    )
    backbones: list[Choice] = Field(default_factory=list, description="networks; empty: the default of the dataset")
    objectives: list[Choice] = Field(default_factory=list, description="self-supervised objectives; required")
    strategies: list[Choice] = Field(
        default_factory=list, description="continual strategies; a plus sign joins several, such as `cassle+er`"
    )
    seeds: list[int] = Field(
        default=[0], min_length=1, description="one run per seed, from 0; tables give mean and std"
    )
    offline: bool = Field(False, description="also train on all tasks at once, the upper bound")
    probes: list[Choice] = Field(
        default=["linear_cached", "knn", "online"],
        min_length=1,
        description="evaluations of each checkpoint; one table per probe",
    )
    preset: Literal["default", "original"] = Field(
        "default", description="`default`: settings of this project; `original`: those of the official release"
    )
    training: dict[str, Any] = Field(default_factory=dict, description="changes to the training of every recipe")

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be different and not negative")
        return seeds


class Study(Site, Grid):
    """One or several grids of runs with their tables and figures, or several studies run together."""

    name: str = Field(
        "study",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=,-]*$",
        max_length=LONGEST_STUDY,
        description="directory of tables and figures below `results/studies`",
    )
    grids: list[Grid] = Field(
        default_factory=list, description="several grids in one study; a key that a grid lacks is the study's"
    )
    studies: list[PathText] = Field(
        default_factory=list,
        description="files of studies to run together, relative to this file; other keys replace those of the files",
    )
    figures: list[str] = Field(
        default=["results", "bars", "accuracy_over_tasks", "forgetting_against_accuracy", "accuracy_matrix"],
        description="figures of accuracies, per stream",
    )
    features: list[str] = Field(
        default=[],
        description="figures of features, per stream, for the first seed: `pca`, `tsne`, `cka`; one job per checkpoint",
    )
    recipes: PathText | None = Field(None, description="directory of recipes; null: config/recipes of the repository")
    first_checkpoint: PathText | None = Field(
        None, description="checkpoint of a first task from which every run starts; its fingerprint marks the path"
    )
    overwrite: bool = Field(False, description="allow changed settings to retrain finished runs in place")

    def complete_grids(self) -> list[Study]:
        """Return one complete study per grid."""
        complete = []
        for grid in self.grids or [Grid()]:
            own = {key: getattr(grid, key) for key in grid.model_fields_set}
            training = merged(self.training, own.get("training", {}))
            complete.append(self.model_copy(update={**own, "training": training, "grids": []}))
        return complete

    def site(self) -> Site:
        """Return the execution settings of every job of the study."""
        return Site(**{key: getattr(self, key) for key in Site.model_fields})
