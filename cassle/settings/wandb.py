"""Settings of Weights & Biases, of which `cassle.tracking.wandb` makes use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cassle.options import Options

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
