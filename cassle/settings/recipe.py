"""How a task is trained, and the recipes that say so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cassle.core.options import Options
from cassle.data.view_settings import ViewSettings

Momentum = Annotated[float, Field(ge=0, lt=1)]


class _Settings(Options):
    lr: float = Field(gt=0, description="learning rate of a batch of `lr_per` images")
    lr_per: int | None = Field(
        256, gt=0, description="lr is scaled linearly from so many images to the run's batch; null: taken as it is"
    )
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to gradients (adamw: decoupled from them)")


class SGDSettings(_Settings):
    """Plain SGD with momentum; every parameter is decayed, biases and norms included."""

    name: Literal["sgd"] = Field("sgd", description="optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")


class LARSSettings(_Settings):
    """SGD with momentum and layer-wise adaptive steps."""

    name: Literal["lars"] = Field("lars", description="optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")
    eta: float = Field(0.02, gt=0, description="trust coefficient: step per weight norm")
    clip: bool = Field(True, description="never step further than SGD would (LARC)")
    exclude_1d: bool = Field(True, description="neither scale nor decay tensors of one dimension (biases, norms)")


class AdamWSettings(_Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = Field("adamw", description="optimizer")
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="decay of the running mean and square of gradients"
    )


OptimizerSettings = Annotated[SGDSettings | LARSSettings | AdamWSettings, Field(discriminator="name")]
"""The settings of one optimizer; a setting that the named one does not have is refused."""


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


class Training(Options):
    """How a task is trained, whatever the strategy; the values come from a recipe."""

    epochs: int = Field(gt=0, description="epochs per task")
    batch_size: int = Field(gt=1, description="images of one optimizer step, over all devices")
    optimizer: OptimizerSettings = Field(description="optimizer of the network")
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
    """Hyper-parameters of one objective on one dataset, with their source."""

    source: str = Field(description="where the numbers come from")
    corrections: list[str] = Field(default_factory=list, description="what differs from the source, and why")
    objective: dict[str, Any] = Field(default_factory=dict, description="settings of the objective")
    strategies: dict[str, dict[str, Any]] = Field(default_factory=dict, description="settings per strategy")
    more_views: dict[str, list[ViewSettings]] = Field(
        default_factory=dict, description="other `views` under a name, such as multicrop"
    )
