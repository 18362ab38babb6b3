"""Settings of training, and recipes that hold them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cassle.core.options import Options
from cassle.data.view_settings import ViewSettings

Momentum = Annotated[float, Field(ge=0, lt=1)]


class _Settings(Options):
    lr: float = Field(gt=0, description="learning rate for a batch of `lr_per` images")
    lr_per: int | None = Field(
        256, gt=0, description="the learning rate of a run is lr * batch_size / lr_per; null: lr without scaling"
    )
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to the gradient; decoupled from it in `adamw`")


class SGDSettings(_Settings):
    """SGD with momentum; weight decay applies to every parameter, biases and norms included."""

    name: Literal["sgd"] = Field("sgd", description="optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")


class LARSSettings(_Settings):
    """SGD with momentum and layer-wise adaptive rates; the defaults are those of the official release."""

    name: Literal["lars"] = Field("lars", description="optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")
    eta: float = Field(0.02, gt=0, description="trust coefficient: ratio of step to weight norm")
    clip: bool = Field(True, description="never take a larger step than SGD (LARC)")
    exclude_1d: bool = Field(True, description="neither scale nor decay one-dimensional tensors: biases and norms")


class AdamWSettings(_Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); it applies to every parameter."""

    name: Literal["adamw"] = Field("adamw", description="optimizer")
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="decay of the running mean and of the running square of gradients"
    )


OptimizerSettings = Annotated[SGDSettings | LARSSettings | AdamWSettings, Field(discriminator="name")]
"""The settings of one optimizer; a setting that the named one does not have is refused."""


class ConstantSettings(Options):
    """Constant learning rate."""

    name: Literal["constant"] = Field("constant", description="schedule")


class CosineSettings(Options):
    """Half a cosine from the base rate down to `min_lr`."""

    name: Literal["cosine"] = Field("cosine", description="schedule")
    min_lr: float = Field(0.0, ge=0, description="final learning rate; not scaled by the batch")


class WarmupCosineSettings(Options):
    """Linear warm-up to the base rate, then half a cosine down to `min_lr`."""

    name: Literal["warmup_cosine"] = Field("warmup_cosine", description="schedule")
    warmup_epochs: int = Field(
        10, ge=0, description="epochs of linear warm-up; the last of them and the next one have the full rate"
    )
    warmup_start_lr: float = Field(0.003, ge=0, description="learning rate of the first epoch; not scaled by the batch")
    min_lr: float = Field(0.0, ge=0, description="final learning rate; not scaled by the batch")


ScheduleSettings = Annotated[ConstantSettings | CosineSettings | WarmupCosineSettings, Field(discriminator="name")]
"""The settings of one schedule; a setting that the named one does not have is refused."""


class Training(Options):
    """Training of a task, for every strategy. The values come from a recipe."""

    epochs: int = Field(gt=0, description="epochs per task")
    batch_size: int = Field(gt=1, description="images per optimizer step, over all devices")
    optimizer: OptimizerSettings = Field(description="optimizer of the network")
    schedule: ScheduleSettings = Field(
        description="learning-rate schedule; set once per epoch, restarted at every task"
    )
    views: list[ViewSettings] = Field(
        min_length=2, description="one entry per view of an image, or a name in `more_views`"
    )
    classifier_lr: float = Field(
        gt=0, description="learning rate of the online classifier; not scaled by the batch, follows the schedule"
    )
    online_batch: Literal["apart", "shared"] = Field(
        "apart",
        description="images of the online classifier. `apart`: unaugmented, network in evaluation mode; `shared`: "
        "augmented like the last view, network in training mode, so they enter its BatchNorm statistics (original)",
    )
    loss_group: Literal["global"] | Annotated[int, Field(gt=1)] = Field(
        "global",
        description="images that losses and distillations compare: the whole batch, or consecutive groups of this "
        "size, which must divide batch_size",
    )
    gradient_scale: float = Field(
        1.0, gt=0, description="factor on the gradients of objective and strategy; reported losses do not include it"
    )

    @property
    def compared(self) -> int:
        """Number of images that losses compare with each other."""
        return self.batch_size if self.loss_group == "global" else self.loss_group

    @model_validator(mode="after")
    def _groups_fill_the_batch(self) -> Training:
        if self.loss_group != "global" and self.batch_size % self.loss_group:
            raise ValueError(f"loss_group {self.loss_group} must divide batch_size {self.batch_size}")
        return self


class Recipe(Training):
    """Hyper-parameters of one objective on one dataset, with their source."""

    source: str = Field(description="source of the values")
    corrections: list[str] = Field(default_factory=list, description="differences from the source, with reasons")
    objective: dict[str, Any] = Field(default_factory=dict, description="settings of the objective")
    strategies: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings per strategy with this objective"
    )
    more_views: dict[str, list[ViewSettings]] = Field(
        default_factory=dict, description="further lists of views by name, such as `multicrop`"
    )
