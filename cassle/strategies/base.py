"""What a strategy is, and the registry of strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from cassle.objectives.base import Group, Objective
from cassle.options import Options, parse
from cassle.registry import Registry
from cassle.training.step import Batch, Step

if TYPE_CHECKING:
    from cassle.training.model import Model


class Strategy(nn.Module):
    """Hooks around the training step; the base class is plain fine-tuning.

    What a strategy learns or stores lives in parameters and buffers, which fill the ``strategy`` room of a checkpoint
    and are loaded strictly by the next task (except from a shared first task, which has none).
    """

    Settings: ClassVar[type[Options]] = Options
    shares_first_task: ClassVar[bool] = True
    """False if the strategy acts in task 0 or needs something of it; it then trains a first task of its own."""
    keeps_memory: ClassVar[bool] = False
    """Whether `remember` writes a memory file after each task but the last."""
    uses_maps: ClassVar[bool] = False
    """Whether `penalty` reads the stage maps of the outputs."""

    def __init__(self, settings: Any, model: Model) -> None:
        super().__init__()
        self.settings = settings

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Return the complete settings for use with an objective; errors here fail the dry run."""
        return parse(cls.Settings, given, f"strategy {cls.__name__}").model_dump(mode="json")

    @classmethod
    def uses(cls, settings: dict[str, Any]) -> list[type]:
        """Return classes of other files that a run with these settings depends on."""
        return []

    @property
    def teacher_batchnorm(self) -> Literal["frozen", "batch"] | None:
        """BatchNorm mode of the teacher this strategy needs from the second task on; None if it needs none."""
        return None

    def extend(self, batch: Batch) -> Batch:
        """Return the batch with replayed rows added, before views are drawn."""
        return batch

    def blend(self, views: list[Tensor], batch: Batch) -> list[Tensor]:
        """Return the views as the network shall see them."""
        return views

    def penalty(self, step: Step) -> Tensor | None:
        """Return the scalar added to the objective's loss, or None."""
        return None

    def groups(self) -> list[Group]:
        """Return the strategy's trainable parameters as groups with their learning rates."""
        return []


strategies: Registry[type[Strategy]] = Registry("strategy", "cassle.strategies")
"""Strategy name -> class."""
