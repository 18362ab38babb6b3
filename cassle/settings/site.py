"""Where and how jobs run; never part of a result's path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt

from cassle.core.options import Options, PathText

NAME = r"^[^/\\#?%:\x00-\x1f]{1,128}$"
"""What W&B takes as the name of a project."""


class WandbSettings(Options):
    """Whether and where W&B shows a study; the key comes from `wandb login` or WANDB_API_KEY, never from here."""

    mode: Literal["disabled", "offline", "online"] = Field(
        "disabled", description="online: live; offline: files for `wandb sync`, one per finished task"
    )
    entity: str | None = Field(None, pattern=NAME, description="user or team; by default that of the key")
    project: str = Field("cassle", pattern=NAME, description="project")
    checkpoints: bool = Field(False, description="send the checkpoints, too, as artifacts")


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
    gpus: Literal["auto"] | NonNegativeInt = Field(
        "auto", description="GPUs per training; auto: what suits the dataset"
    )
    jobs_per_gpu: int = Field(1, gt=0, description="jobs that may share one GPU")
    processes: int = Field(
        1, gt=0, description="processes of a training on the CPU, which share each batch; with GPUs it is one per GPU"
    )
    retries: int = Field(
        2, ge=0, description="times a training or an evaluation is tried again after what may pass, such as a kill"
    )
    state_minutes: float = Field(10, ge=0, description="minutes between two saves of a training's state")

    def gpus_of(self, usual: int) -> int:
        """Return the GPUs that a training asks for; ``usual``: what suits its dataset."""
        if self.device == "cpu":
            return 0
        return usual if self.gpus == "auto" else self.gpus

    def sharing(self, usual: int) -> int:
        """Return how many processes will share a batch, with all the GPUs that a training asks for."""
        return max(self.processes, self.gpus_of(usual))


class Site(Options):
    """What a job needs to know of the place it runs at; never part of a result's path."""

    execution: Execution = Field(default_factory=Execution, description="how jobs run")
    data: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings per dataset, such as root")
    data_root: PathText | None = Field(None, description="folder of the datasets; by default $DATA_DIR")
    plugins: list[PathText] = Field(default_factory=list, description="Python files that add methods of your own")
    wandb: WandbSettings = Field(default_factory=WandbSettings, description="Weights & Biases")
    tensorboard: bool = Field(False, description="write event files for TensorBoard")

    def trackers(self) -> dict[str, Any]:
        """Return the settings of the trackers in use: verb -> settings."""
        used = {"wandb": self.wandb.model_dump()} if self.wandb.mode != "disabled" else {}
        return used | ({"tensorboard": {}} if self.tensorboard else {})

    @property
    def root(self) -> Path | None:
        """The folder of the datasets, from the settings or the environment."""
        chosen = self.data_root or os.environ.get("DATA_DIR")
        return Path(chosen) if chosen else None
