"""The settings of each optimiser; without torch, so that reading a study costs nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cassle.options import Options

Momentum = Annotated[float, Field(ge=0, lt=1)]


class _Settings(Options):
    lr: float = Field(gt=0, description="learning rate of a batch of `lr_per` images")
    lr_per: int | None = Field(
        256, gt=0, description="lr is scaled linearly from so many images to the run's batch; null: taken as it is"
    )
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to gradients (adamw: decoupled from them)")


class SGDSettings(_Settings):
    """Plain SGD with momentum; every parameter is decayed, biases and norms included."""

    name: Literal["sgd"] = Field("sgd", description="optimiser")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")


class LARSSettings(_Settings):
    """SGD with momentum and layer-wise adaptive steps."""

    name: Literal["lars"] = Field("lars", description="optimiser")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")
    eta: float = Field(0.02, gt=0, description="trust coefficient: step per weight norm")
    clip: bool = Field(True, description="never step further than SGD would (LARC)")
    exclude_1d: bool = Field(True, description="neither scale nor decay tensors of one dimension (biases, norms)")


class AdamWSettings(_Settings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = Field("adamw", description="optimiser")
    betas: tuple[Momentum, Momentum] = Field(
        (0.9, 0.999), description="decay of the running mean and square of gradients"
    )


OptimizerSettings = Annotated[SGDSettings | LARSSettings | AdamWSettings, Field(discriminator="name")]
"""The settings of one optimiser; a setting that the named one does not have is refused."""
