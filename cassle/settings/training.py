"""How a task is trained, and the recipes that say so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cassle.data.view_settings import ViewSettings
from cassle.options import Options
from cassle.settings.optimizer import OptimizerSettings
from cassle.settings.schedule import ScheduleSettings


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
    gradient_scale: float = Field(
        1.0, gt=0, description="factor on the gradient of objective and strategy; the online classifier's is as it is"
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
