"""What a user may set: typed, strict, and resolved to the complete settings of every run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from cassle.data.view_settings import ViewSettings
from cassle.errors import SettingsError
from cassle.files import shortened
from cassle.options import Options, PathText, merged, parse
from cassle.tracking.wandb import WandbSettings
from cassle.training.optim_settings import OptimizerSettings
from cassle.training.schedules import ScheduleSettings

LONGEST_STUDY = 100
"""Letters of a study's name."""
Choice = str | dict[str, Any]
"""A name, or a mapping with `name` and the settings in which it differs from its recipe."""


class Training(Options):
    """How a task is trained, whatever the strategy; the values come from a recipe."""

    epochs: int = Field(gt=0, description="epochs per task")
    batch_size: int = Field(gt=1, description="images of one optimiser step, over all devices")
    optimizer: OptimizerSettings = Field(description="optimiser of the network")
    schedule: ScheduleSettings = Field(description="learning-rate schedule, restarted at every task")
    views: list[ViewSettings] = Field(min_length=2, description="one entry per view of an image")
    classifier_lr: float = Field(gt=0, description="learning rate of the online classifier")
    online_batch: Literal["apart", "shared"] = Field(
        "apart",
        description="images of the online classifier. apart: unaugmented, and the network stays as it is; shared: "
        "augmented like the last view, their statistics enter BatchNorm's (original)",
    )
    loss_group: Literal["global"] | Annotated[int, Field(gt=1)] = Field(
        "global", description="images that losses compare with each other: the whole batch, or groups of so many of it"
    )

    @property
    def compared(self) -> int:
        """Images that losses compare with each other."""
        return self.batch_size if self.loss_group == "global" else self.loss_group

    @model_validator(mode="after")
    def _groups_fill_the_batch(self) -> Training:
        if self.loss_group != "global" and self.batch_size % self.loss_group:
            raise ValueError(f"loss_group {self.loss_group} must divide batch_size {self.batch_size}")
        return self


class Recipe(Training):
    """Hyper-parameters of one objective on one data set, with their source."""

    source: str = Field(description="where the numbers come from")
    corrections: list[str] = Field(default_factory=list, description="what differs from the source, and why")
    objective: dict[str, Any] = Field(default_factory=dict, description="settings of the objective")
    strategies: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings per strategy")
    more_views: dict[str, list[ViewSettings]] = Field(
        default_factory=dict, description="other `views` under a name, such as multicrop"
    )


class Execution(Options):
    """How jobs run; part of every result's record, never of its path."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a leased GPU if there is one, else CPU")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the device computes it in hardware, else fp32"
    )
    loader: Literal["auto", "device", "torchvision", "dali"] = Field(
        "auto", description="auto: device where the images are in memory, torchvision where they stay in files"
    )
    threads: int = Field(1, gt=0, description="compute threads of a job; results depend on it in the last bits")
    gpus: Literal["auto"] | int = Field("auto", description="GPUs per training; auto: what suits the data set")
    jobs_per_gpu: int = Field(1, gt=0, description="jobs that may share one GPU")
    processes: int = Field(
        1, gt=0, description="processes of a training on the CPU, which share each batch; with GPUs it is one per GPU"
    )
    retries: int = Field(
        2, ge=0, description="times a training or an evaluation is tried again after what may pass, such as a kill"
    )
    state_minutes: float = Field(10, ge=0, description="minutes between two saves of a training's state")

    def gpus_of(self, usual: int) -> int:
        """Return the GPUs that a training asks for; ``usual``: what suits its data set."""
        if self.device == "cpu":
            return 0
        return usual if self.gpus == "auto" else self.gpus

    def sharing(self, usual: int) -> int:
        """Return how many processes will share a batch, with all the GPUs that a training asks for."""
        return max(self.processes, self.gpus_of(usual))


class Site(Options):
    """What a job needs to know of the place it runs at; never part of a result's path."""

    execution: Execution = Field(default_factory=Execution, description="how jobs run")
    data: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings per data set, such as root")
    data_root: PathText | None = Field(None, description="folder of the data sets; by default $DATA_DIR")
    plugins: list[PathText] = Field(default_factory=list, description="Python files that add methods of your own")
    wandb: WandbSettings = Field(default_factory=WandbSettings, description="Weights & Biases")
    tensorboard: bool = Field(False, description="write event files for TensorBoard")

    def trackers(self) -> dict[str, Any]:
        """Return the settings of the trackers in use: verb -> settings."""
        used = {"wandb": self.wandb.model_dump()} if self.wandb.mode != "disabled" else {}
        return used | ({"tensorboard": {}} if self.tensorboard else {})

    @property
    def root(self) -> Path | None:
        """The folder of the data sets, from the settings or the environment."""
        chosen = self.data_root or os.environ.get("DATA_DIR")
        return Path(chosen) if chosen else None


class Grid(Options):
    """Runs: every stream with every backbone, objective, strategy and seed."""

    streams: list[Choice] = Field(default_factory=list, description="streams, such as digits-domain6, cifar100-class5")
    backbones: list[Choice] = Field(default_factory=list, description="backbones; none: the data set's default")
    objectives: list[Choice] = Field(default_factory=list, description="self-supervised objectives")
    strategies: list[Choice] = Field(default_factory=list, description="continual strategies")
    seeds: list[int] = Field(default=[0], min_length=1, description="one run per seed; tables give mean and spread")
    offline: bool = Field(False, description="also train on all data at once (the upper bound)")
    probes: list[Choice] = Field(
        default=["linear_cached", "knn", "online"], min_length=1, description="evaluations of each checkpoint"
    )
    preset: Literal["clean", "original"] = Field(
        "clean", description="original: the settings of the release where this project does otherwise; clean: its own"
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


WORDS = {
    "stream": "streams",
    "backbone": "backbones",
    "objective": "objectives",
    "strategy": "strategies",
    "seed": "seeds",
    "probe": "probes",
}
"""Singular words of one experiment and the study's list each stands for."""


def read_study(given: Mapping[str, Any], where: str = "the settings") -> Study:
    """Return the study that a mapping describes; words such as ``objective=byol`` replace the whole list.

    A word holds for each grid of the study. Raises `SettingsError` for a grid that names no stream or no objective.
    """
    values = dict(given)
    named = "name" in values
    words = {WORDS[word]: values.pop(word) for word in list(values) if word in WORDS}
    lists = {key: value if isinstance(value, list) else [value] for key, value in words.items()}
    study = parse(Study, replaced(values, lists), where)
    if words and not named:
        parts = [f"seed{value}" if key == "seeds" else f"{value}" for key, value in words.items()]
        name = re.sub(r"[^A-Za-z0-9._+=,]+", "-", "-".join(parts)).strip("-")
        study = study.model_copy(update={"name": shortened(name, LONGEST_STUDY)})
    for grid in [] if study.studies else study.complete_grids():
        if missing := [key for key in ("streams", "objectives") if not getattr(grid, key)]:
            raise SettingsError(f"{where}: '{missing[0]}' is missing; name at least one")
    return study


def read_studies(study: Study, folder: Path) -> list[Study]:
    """Return the studies to do: the given one, or those of the files it lists, which lie relative to ``folder``.

    What the outer study says replaces what the files say. They say nothing of where jobs run: that is one thing for
    all of them, and the outer study's.
    """
    if not study.studies:
        return [study]
    outer = {key: getattr(study, key) for key in study.model_fields_set - {"name", "studies"}}
    found = []
    for file in study.studies:
        values = read_yaml(folder / file)
        if refused := sorted({*Site.model_fields, "studies"} & set(values)):
            raise SettingsError(f"{folder / file}: '{refused[0]}' belongs into the study that lists this file")
        found.append(read_study(replaced(values, outer), str(folder / file)))
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"two of the studies are called '{twice[0]}'; their tables need names of their own")
    return found


def replaced(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's values with some keys replaced, in its grids as well."""
    result = {**values, **changes}
    if isinstance(result.get("grids"), list):
        result["grids"] = [
            {key: value for key, value in grid.items() if key not in changes} if isinstance(grid, dict) else grid
            for grid in result["grids"]
        ]
    return result


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping; `SettingsError` with file and line if it is missing or broken."""
    try:
        value = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path} must hold keys and values, not {type(value).__name__}")
    return value
