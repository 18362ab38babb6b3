"""What a study asks for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from cassle.core.options import Options, PathText, merged
from cassle.settings.site import Site

LONGEST_STUDY = 100
"""Letters of a study's name."""
Choice = str | dict[str, Any]
"""A name, or a mapping with `name` and the settings in which it differs from its recipe."""


class Grid(Options):
    """Runs: every stream with every backbone, objective, strategy and seed."""

    streams: list[Choice] = Field(default_factory=list, description="streams, such as digits-domain6, cifar100-class5")
    backbones: list[Choice] = Field(default_factory=list, description="backbones; none: the dataset's default")
    objectives: list[Choice] = Field(default_factory=list, description="self-supervised objectives")
    strategies: list[Choice] = Field(default_factory=list, description="continual strategies")
    seeds: list[int] = Field(default=[0], min_length=1, description="one run per seed; tables give mean and spread")
    offline: bool = Field(False, description="also train on all data at once (the upper bound)")
    probes: list[Choice] = Field(
        default=["linear_cached", "knn", "online"], min_length=1, description="evaluations of each checkpoint"
    )
    preset: Literal["default", "original"] = Field(
        "default", description="original: the settings of the release where this project does otherwise; clean: its own"
    )
    training: dict[str, Any] = Field(default_factory=dict, description="changes to every recipe, such as epochs")

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be different and not negative")
        return seeds


class Study(Site, Grid):
    """One grid of runs or several, and what is made of them; or several studies done together."""

    name: str = Field(
        "study",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=,-]*$",
        max_length=LONGEST_STUDY,
        description="folder of tables and figures",
    )
    grids: list[Grid] = Field(
        default_factory=list, description="several grids in one study; what a grid leaves out is taken from the study"
    )
    studies: list[PathText] = Field(
        default_factory=list, description="files of studies to do together; other keys here replace those of the files"
    )
    figures: list[str] = Field(
        default=["results", "bars", "accuracy_over_tasks", "forgetting_against_accuracy", "accuracy_matrix"],
        description="figures of accuracies",
    )
    features: list[str] = Field(
        default=[], description="figures of features, which are extracted for them: pca, tsne, cka"
    )
    recipes: PathText | None = Field(None, description="folder of recipes; by default config/recipes of the repository")
    first_checkpoint: PathText | None = Field(
        None, description="checkpoint of a first task to start every run from, instead of training one"
    )
    overwrite: bool = Field(False, description="allow a changed setting to retrain finished runs in place")

    def complete_grids(self) -> list[Study]:
        """Return the study once per grid, each complete in itself."""
        complete = []
        for grid in self.grids or [Grid()]:
            own = {key: getattr(grid, key) for key in grid.model_fields_set}
            training = merged(self.training, own.get("training", {}))
            complete.append(self.model_copy(update={**own, "training": training, "grids": []}))
        return complete

    def site(self) -> Site:
        """Return what every job of the study is told about where it runs."""
        return Site(**{key: getattr(self, key) for key in Site.model_fields})
