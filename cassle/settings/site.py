"""Execution settings: where and how jobs run. They are never part of a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt

from cassle.core.options import Options, PathText

NAME = r"^[^/\\#?%:\x00-\x1f]{1,128}$"
"""Names of projects that W&B accepts."""


class WandbSettings(Options):
    """How W&B shows a study. The API key comes from `wandb login` or WANDB_API_KEY and is never a setting."""

    mode: Literal["disabled", "offline", "online"] = Field(
        "disabled", description="`online`: live; `offline`: files for `wandb sync`, one W&B run per finished task"
    )
    entity: str | None = Field(None, pattern=NAME, description="user or team; null: the one of the API key")
    project: str = Field("cassle", pattern=NAME, description="W&B project")
    checkpoints: bool = Field(False, description="also upload checkpoints as artifacts")


class Execution(Options):
    """How jobs run. Recorded with every result, never part of its path."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of a job. `auto`: a leased GPU if one exists, else the CPU; `cuda` requires a GPU"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="number format of training. `auto`: bf16 where the GPU computes it in hardware, else fp32; "
        "`fp16` requires a GPU",
    )
    loader: Literal["auto", "device", "torchvision", "dali"] = Field(
        "auto",
        description="source of training batches. `auto` depends on the dataset, not on the machine: `device` where "
        "decoded images fit in memory, else `torchvision` with `threads` - 1 worker processes; `dali` needs NVIDIA "
        "DALI. Evaluations and memories always use `auto`",
    )
    threads: int = Field(
        1,
        gt=0,
        description="compute threads of a job, which Snakemake counts as cores; results depend on it in the last bits",
    )
    gpus: Literal["auto"] | NonNegativeInt = Field(
        "auto",
        description="GPUs that share the batch of a training; `auto`: the number of the dataset. Fewer free GPUs do "
        "not change batch, loss groups or learning rate",
    )
    jobs_per_gpu: int = Field(1, gt=0, description="jobs that may share one GPU")
    processes: int = Field(
        1, gt=0, description="processes that share the batch of a training on the CPU, each with `threads` threads"
    )
    retries: int = Field(
        2,
        ge=0,
        description="further attempts of a training or an evaluation after a temporary failure: a signal, a time "
        "limit, a lost node",
    )
    state_minutes: float = Field(
        10, ge=0, description="minutes between two saves of the training state; 0: at every step"
    )

    def gpus_of(self, usual: int) -> int:
        """Return how many GPUs a training requests; ``usual`` is the number of its dataset."""
        if self.device == "cpu":
            return 0
        return usual if self.gpus == "auto" else self.gpus

    def sharing(self, usual: int) -> int:
        """Return how many processes share a batch if a training gets all GPUs that it requests."""
        return max(self.processes, self.gpus_of(usual))


class Site(Options):
    """Execution settings of a job. They are never part of a path."""

    execution: Execution = Field(default_factory=Execution, description="how jobs run")
    data: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings per dataset")
    data_root: PathText | None = Field(None, description="directory of the datasets; null: $DATA_DIR")
    plugins: list[PathText] = Field(default_factory=list, description="Python files that register methods of your own")
    wandb: WandbSettings = Field(default_factory=WandbSettings, description="tracking with Weights & Biases")
    tensorboard: bool = Field(False, description="write TensorBoard event files to results/tracking/tensorboard")

    def trackers(self) -> dict[str, Any]:
        """Return the settings of the trackers in use: verb -> settings."""
        used = {"wandb": self.wandb.model_dump()} if self.wandb.mode != "disabled" else {}
        return used | ({"tensorboard": {}} if self.tensorboard else {})

    @property
    def root(self) -> Path | None:
        """The directory of the datasets, from the settings or the environment."""
        chosen = self.data_root or os.environ.get("DATA_DIR")
        return Path(chosen) if chosen else None
