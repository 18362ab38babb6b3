"""The base class of distillations and their registry."""

from __future__ import annotations

from typing import ClassVar, Generic

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from cassle.core.options import Options
from cassle.core.registry import Registry
from cassle.nets.heads import mlp
from cassle.objectives.base import Group, Objective
from cassle.tensors.scope import Scope


class DistillationSettings(Options):
    """Settings every distillation has: those of its predictor g = Linear - BatchNorm - ReLU - Linear."""

    hidden_dim: int = Field(2048, gt=0, description="width of the predictor's hidden layers")
    depth: int = Field(2, ge=0, description="linear layers of the predictor; 0 compares z itself with the teacher")


D = TypeVar("D", bound=DistillationSettings, covariant=True, default=DistillationSettings)


class Distillation(nn.Module, Generic[D]):
    """Compares predictions g(z) of the current model with the frozen model's projections of the same views.

    Subclasses set ``Settings`` and write `compare`, a call of the pure function of the same file.
    """

    Settings: ClassVar[type[DistillationSettings]] = DistillationSettings
    default_weight: ClassVar[float] = 1.0
    """The paper's lambda for this form."""
    fits_features: ClassVar[bool] = True
    """Whether it can compare features of the backbone instead of projections."""

    settings: D

    def __init__(self, settings: D, dim: int, objective: Objective) -> None:
        """Build the predictor for vectors of size ``dim``; ``objective`` is the student's, for heads to copy."""
        super().__init__()
        self.settings = settings
        sizes = [dim, *[settings.hidden_dim] * (settings.depth - 1), dim]
        self.predictor: nn.Module = mlp(sizes) if settings.depth else nn.Identity()

    @classmethod
    def incompatibility(cls, objective: type[Objective]) -> str | None:
        """Return why this distillation does not fit an objective, or None if it does."""
        return None

    def batch_incompatibility(self, images: int, dim: int) -> str | None:
        """Return why ``images`` predictions of size ``dim`` cannot be compared, or None; called at the dry run."""
        return None

    def loss(self, z: list[Tensor], frozen: list[Tensor], teacher: Objective, scope: Scope | None = None) -> Tensor:
        """Return the scalar distillation loss.

        ``z`` and ``frozen``: one (B, D) tensor per view, student's with gradient and teacher's without; view v is
        compared with the teacher's same view v. ``teacher``: the frozen objective, for its prototypes or queues. The
        predictor gets the rows of this process; ``scope`` determines which rows are compared with each other.
        """
        scope = scope or Scope()
        p, frozen = scope.gather([self.predictor(view) for view in z]), scope.gather(frozen)

        def compare(rows: slice) -> Tensor:
            return self.compare([x[rows] for x in p], [x[rows] for x in frozen], teacher)

        return scope.mean(compare, len(p[0]))

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return the loss between predictions and frozen projections, one (B, D) tensor per view each."""
        raise NotImplementedError

    def groups(self, weight: float) -> list[Group]:
        """Return the trainable parameters; ``weight`` is the run's lambda."""
        return [Group("distillation", [p for p in self.parameters() if p.requires_grad])]


distillations: Registry[type[Distillation]] = Registry("distillation", "cassle.distillations")
"""Distillation name -> class."""
