"""The settings of each learning-rate schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cassle.options import Options


class ConstantSettings(Options):
    """The base rate in every epoch."""

    name: Literal["constant"] = Field("constant", description="schedule")


class CosineSettings(Options):
    """From the base rate down along half a cosine."""

    name: Literal["cosine"] = Field("cosine", description="schedule")
    min_lr: float = Field(0.0, ge=0, description="rate at the end, of every group")


class WarmupCosineSettings(Options):
    """Linearly up to the base rate, then down along half a cosine."""

    name: Literal["warmup_cosine"] = Field("warmup_cosine", description="schedule")
    warmup_epochs: int = Field(10, ge=0, description="epochs of linear warm-up")
    warmup_start_lr: float = Field(0.003, ge=0, description="rate of the first epoch, of every group")
    min_lr: float = Field(0.0, ge=0, description="rate at the end, of every group")


ScheduleSettings = Annotated[ConstantSettings | CosineSettings | WarmupCosineSettings, Field(discriminator="name")]
"""The settings of one schedule; a setting that the named one does not have is refused."""
