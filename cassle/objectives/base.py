"""The base class of objectives and their registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, cast

from torch import Tensor, nn

from cassle.contracts.layout import RANDOM
from cassle.core.options import Options, S
from cassle.core.registry import Registry
from cassle.nets.base import Backbone
from cassle.nets.momentum import MomentumNetwork
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate: ``lr_scale`` times the run's, constant if not ``scheduled``."""

    name: str
    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    scheduled: bool = True


@dataclass(frozen=True)
class Moment:
    """A point in the training of a task: epoch and optimizer step from 0, and the number of each in the task."""

    epoch: int
    step: int
    epochs: int
    steps: int


@dataclass(frozen=True)
class TaskStart:
    """Input of `Objective.begin_task`, before the first epoch of a task.

    ``clean_features()`` returns (index (n,) int64, features (n, F)) of the task's unaugmented training images under
    the current backbone in evaluation mode, for cluster memories; the backbone does not change.
    """

    task: int
    seed: int
    clean_features: Callable[[], tuple[Tensor, Tensor]]


class Objective(nn.Module, Generic[S]):
    """A self-supervised loss with its heads and state; all state is in buffers and parameters.

    Subclasses set ``Settings`` (their hyper-parameters), ``distillation`` (the registered form of their own loss as
    a distillation) and build ``projector``; `loss` is a call of the pure function of the same file.
    """

    Settings: ClassVar[type[Options]] = Options
    title: ClassVar[str]
    """Name in tables and figures; by default the registered name. A subclass does not inherit it."""
    original: ClassVar[Mapping[str, Any]] = {}
    """Settings of the official release where they differ from the defaults; `preset: original` sets them."""
    original_loss: ClassVar[Literal["global", "per_gpu", "undifferentiated"]] = "global"
    """Loss of the official release on several GPUs.

    ``global``: over all images. ``per_gpu``: the mean of a loss, or of a distillation, per GPU. ``undifferentiated``:
    over all images by an average that was not differentiated, so that N GPUs gave an N-th of the gradient.
    """
    distillation: ClassVar[str]
    supervised: ClassVar[bool] = False
    """Whether training reads labels; strategies that mix images refuse such an objective."""
    many_views: ClassVar[bool] = False
    """Whether the loss is defined for more than two views."""
    linear_lr: ClassVar[float] = 0.3
    """Learning rate of linear evaluation for 256 images; the default is that of the original release's command line."""
    has_momentum: ClassVar[bool] = False
    """Whether it has a momentum network, which a strategy may use as teacher."""
    uses_features: ClassVar[bool] = False
    """Whether `loss` or `after_loss` reads the backbone's features; processes then exchange them as they do z."""

    settings: S
    projector: nn.Module
    output_dim: int

    def __init__(self, settings: S, backbone: Backbone, num_classes: int) -> None:
        """Build the heads for a backbone; ``backbone`` may be copied but is not kept as a submodule."""
        super().__init__()
        self.settings = settings

    def project(self, features: Tensor) -> Tensor:
        """Return the projection z (B, D) of features (B, F)."""
        return self.projector(features)  # type: ignore[no-any-return]

    def forward(self, backbone: Backbone, views: list[Tensor], maps: bool = False) -> Outputs:
        """Return the outputs for views, one pass per view in their order."""
        stages = [backbone.stages(view) for view in views]
        features = [f for _, f in stages]
        z = [self.project(f) for f in features]
        p = [top for top in map(self.predict, z) if top is not None]
        return Outputs(features, z, p, self.targets(views), [m for m, _ in stages] if maps else [])

    def predict(self, z: Tensor) -> Tensor | None:
        """Return the output that follows a projection z (B, D), a prediction or scores; None without one."""
        return None

    def targets(self, views: list[Tensor]) -> list[Tensor]:
        """Return the outputs of the momentum network for the views, without gradient; empty without one."""
        return []

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the scalar loss; it changes no state, as it may be called for several groups of one batch.

        ``outputs`` and the batch's index, labels and is_replay are of all processes.
        """
        raise NotImplementedError

    def batch_incompatibility(self, images: int) -> str | None:
        """Return why the loss cannot compare this number of images, or None if it can; called at the dry run."""
        return None

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Update queues and centers (buffers), once per step, with the outputs of the whole batch, before gradients."""

    def distillation_input(self, z: Tensor) -> Tensor:
        """Return the student's z (B, D) as a distillation of this objective gets it."""
        return z

    def use_momentum_network(self) -> Backbone:
        """Replace the trained heads by those of the momentum network and return its backbone, for a teacher."""
        network = cast(MomentumNetwork, self.momentum)
        self.projector = network.projector
        return network.backbone

    def groups(self) -> list[Group]:
        """Return the trainable parameters as groups with their learning rates."""
        return [Group("objective", [p for p in self.parameters() if p.requires_grad])]

    def begin_task(self, start: TaskStart) -> None:
        """Reset the state that does not carry over to the next task (queues, cluster memories)."""

    def begin_epoch(self, moment: Moment) -> None:
        """Set the values that depend on the epoch (temperatures, freezes)."""

    def after_backward(self, moment: Moment) -> None:
        """Change gradients before the optimizer sees them (frozen prototypes)."""

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Update the momentum network after an optimizer step; ``moment.step`` is the number of that step."""


objectives: Registry[type[Objective]] = Registry("objective", "cassle.objectives", reserved=(RANDOM,))
"""Objective name -> class."""
