"""The base class of strategies and their registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypeVar

from cassle.contracts.layout import FIRST, OFFLINE, RANDOM
from cassle.core.options import Options, S, parse
from cassle.core.registry import Registry
from cassle.models.checkpoints import load_into
from cassle.models.model import Model
from cassle.objectives.base import Group, Objective
from cassle.settings.recipe import Training
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch

Memory = dict[str, Tensor]
"""Tensors that a strategy keeps in a file from task to task: sample indices, outputs, weights; never pixels."""


@dataclass(frozen=True)
class TaskEnd:
    """Input of `Strategy.build_memory`: the model after a task and the images of that task.

    ``positions`` (n,) int64 are the sample indices of the task within the training half, ``batch_size`` is that of its
    training. ``clean_features(positions)`` returns the features (m, F) of unaugmented images in evaluation mode;
    ``batches(size)`` yields the full batches of one pass over the task in random order, each with a generator of its
    own; ``draw_views`` returns the views of a batch as in training.
    """

    model: Model
    task: int
    seed: int
    batch_size: int
    positions: Tensor
    clean_features: Callable[[Tensor], Tensor]
    batches: Callable[[int], Iterator[Batch]]
    draw_views: Callable[[Batch], list[Tensor]]


@dataclass(frozen=True)
class MemoryCost:
    """Cost of `Strategy.build_memory`: images of forward passes, images of steps with gradients, bytes.

    A forward pass runs the backbone once per image. A step runs network and objective on the views of a training.
    ``bytes`` is the size of the memory's file.
    """

    forward: int = 0
    steps: int = 0
    bytes: int = 0

    def __add__(self, other: MemoryCost) -> MemoryCost:
        return MemoryCost(self.forward + other.forward, self.steps + other.steps, self.bytes + other.bytes)


class Strategy(nn.Module, Generic[S]):
    """Hooks around the training step; the base class is plain fine-tuning.

    Learned state is in parameters and buffers: the ``strategy`` part of a checkpoint. The next task loads it strictly;
    a shared first task has none. Data of past tasks is in the memory, a file next to the checkpoint; this module
    holds it in buffers that are not saved.
    """

    Settings: ClassVar[type[Options]] = Options
    title: ClassVar[str]
    """Name in tables and figures; by default the registered name. A subclass does not inherit it."""
    original: ClassVar[Mapping[str, Any]] = {}
    """Settings of the official release where they differ from the defaults; `preset: original` sets them."""
    fallback_recipe: ClassVar[str | None] = None
    """Another strategy, whose entry in a recipe is used where this one has none."""
    shares_first_task: bool = True
    """Whether the strategy does nothing in task 0; False if it acts there and trains a first task of its own."""
    keeps_memory: bool = False
    """Whether `build_memory` writes a memory file after each task but the last, and `load_memory` reads it."""
    replays: bool = False
    """Whether `replay` may add rows to a batch."""
    uses_maps: bool = False
    """Whether `penalty` reads the stage maps of the outputs."""

    settings: S

    def __init__(self, settings: S, model: Model) -> None:
        super().__init__()
        self.settings = settings

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Return the complete settings for use with an objective; errors here fail the dry run."""
        return parse(cls.Settings, given, f"strategy {cls.__name__}").model_dump(mode="json")

    @classmethod
    def dependencies(cls, settings: dict[str, Any]) -> list[type]:
        """Return the classes of other files that a run with these settings depends on."""
        return []

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return why this strategy cannot act in a training, or None if it can.

        Called at the dry run, where ``model`` and this strategy have no storage (torch's meta device).
        """
        return None

    # From task to task

    @classmethod
    def replayed_rows(cls, settings: dict[str, Any], batch_size: int) -> int:
        """Return the largest number of replayed images that the network gets with a batch of ``batch_size``."""
        return 0

    @classmethod
    def replayed_rows_in_loss(cls, settings: dict[str, Any], batch_size: int) -> int:
        """Return the number of those that the objective's loss compares with the batch."""
        return 0

    @property
    def teacher_batchnorm(self) -> Literal["frozen", "batch"] | None:
        """BatchNorm mode of the teacher this strategy needs from the second task on; None if it needs none."""
        return None

    @property
    def teacher_network(self) -> Literal["online", "momentum"]:
        """Network of the previous task that is the teacher: the trained one, or its momentum network."""
        return "online"

    def load_previous(self, tensors: dict[str, Tensor], what: str) -> None:
        """Load the ``strategy`` part of the previous checkpoint; errors name it ``what``."""
        load_into(self, tensors, what)

    def build_memory(self, end: TaskEnd, previous: Memory) -> Memory:
        """Return the memory after a task from the ``previous`` one (empty after the first task); tensors on the CPU."""
        return {}

    def memory_cost(self, images: int, batch_size: int) -> MemoryCost:
        """Return the largest cost of `build_memory` after a task of ``images``; called without storage.

        ``batch_size`` is that of the task's training.
        """
        return MemoryCost()

    def load_memory(self, memory: Memory) -> None:
        """Load the memory of the previous task, before this module moves to its device."""

    # Around the step

    def replay(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return the sample indices (R,) int64 that join a batch of ``count`` own rows, or None.

        A function of the memory and the generator alone, which belongs to this step and lives on the memory's device.
        """
        return None

    def mix_views(self, views: list[Tensor], batch: Batch) -> tuple[list[Tensor], Batch]:
        """Return the views that the network gets, and the batch of their rows."""
        return views, batch

    def penalty(self, step: Step) -> Tensor | None:
        """Return the scalar added to the objective's loss, or None."""
        return None

    def groups(self) -> list[Group]:
        """Return the strategy's trainable parameters as groups with their learning rates."""
        return []


class TeacherSettings(Options):
    """Settings of every strategy with a teacher."""

    teacher_batchnorm: Literal["frozen", "batch"] = Field(
        "frozen",
        description="statistics the teacher normalizes with: its saved ones, or the batch's (original)",
    )


T = TypeVar("T", bound=TeacherSettings, covariant=True, default=TeacherSettings)


class TeacherStrategy(Strategy[T]):
    """A strategy with a teacher, the frozen model of the previous task; it does nothing in the first."""

    Settings: ClassVar[type[Options]] = TeacherSettings
    original: ClassVar[Mapping[str, Any]] = {"teacher_batchnorm": "batch"}

    @property
    def teacher_batchnorm(self) -> Literal["frozen", "batch"]:
        """The teacher's BatchNorm mode."""
        return self.settings.teacher_batchnorm


strategies: Registry[type[Strategy]] = Registry("strategy", "cassle.strategies", reserved=(FIRST, OFFLINE, RANDOM))
"""Strategy name -> class."""
