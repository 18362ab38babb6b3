"""The replay buffer: which images of past tasks it keeps, and which of them join a batch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from cassle.core.options import Options
from cassle.core.random import generator as generator_of
from cassle.models.model import Model
from cassle.strategies.base import Memory, MemoryCost, Strategy, TaskEnd

Selection = Literal["reservoir", "uniform"]


def kept_rows(keys: Tensor, tasks: Tensor, size: int, selection: Selection) -> Tensor:
    """Return the rows, ascending, that a buffer of ``size`` images keeps.

    ``keys`` (n,) are independent uniform draws, fixed per image, ``tasks`` (n,) int64 the task of each.
    ``reservoir`` keeps the smallest keys: every image of any task so far with the same probability, as reservoir
    sampling does (Vitter 1985); dropped images are not needed again. ``uniform`` keeps the smallest keys of each task,
    the same number per task; if the size does not divide, the first tasks have one more.
    """
    order = keys.argsort()
    if selection == "reservoir":
        return order[:size].sort().values
    share, rest = divmod(size, int(tasks.max()) + 1) if len(tasks) else (0, 0)
    ranked = [order[tasks[order] == task][: share + (task < rest)] for task in sorted(set(tasks.tolist()))]
    return torch.cat([order[:0], *ranked]).sort().values


class BufferSettings(Options):
    """Settings of a buffer of past images."""

    buffer_size: int = Field(500, ge=0, description="images kept of all past tasks together")
    selection: Selection = Field(
        "reservoir", description="which stay: a random sample of all so far, or an equal share per task (uniform)"
    )


B = TypeVar("B", bound=BufferSettings, covariant=True, default=BufferSettings)


class BufferStrategy(Strategy[B]):
    """Keep the sample indices of past images in a buffer; a subclass writes `replay` or takes it from `ReplayStrategy`.

    Memory: ``positions``, ``tasks`` (m,) int64 and ``keys`` (m,) float64, one row per kept image; ``positions`` are
    sample indices within the training half.
    """

    Settings: ClassVar[type[Options]] = BufferSettings
    keeps_memory = True
    replays = True

    positions: Tensor

    def __init__(self, settings: B, model: Model) -> None:
        super().__init__(settings, model)
        self.register_buffer("positions", torch.empty(0, dtype=torch.long), persistent=False)
        self._copies: dict[torch.device, Tensor] = {}

    def build_memory(self, end: TaskEnd, previous: Memory) -> Memory:
        """Return the buffer after a task: the images kept so far and those of the task, cut to the buffer's size."""
        own = end.positions.cpu()
        drawn = torch.rand(len(own), dtype=torch.float64, generator=generator_of(end.seed, "buffer", end.task))
        joined = {"positions": own, "tasks": torch.full_like(own, end.task), "keys": drawn}
        if previous:
            joined = {key: torch.cat([previous[key], value]) for key, value in joined.items()}
        rows = kept_rows(joined["keys"], joined["tasks"], self.settings.buffer_size, self.settings.selection)
        return {key: value[rows] for key, value in joined.items()}

    def memory_cost(self, images: int, batch_size: int) -> MemoryCost:
        """Return the size of a full buffer: three numbers of eight bytes per image."""
        return MemoryCost(bytes=3 * 8 * self.settings.buffer_size)

    def load_memory(self, memory: Memory) -> None:
        """Load the sample indices."""
        self.positions, self._copies = memory["positions"], {}

    def positions_on(self, device: torch.device) -> Tensor:
        """Return the sample indices on the device that draws them, the host for images in files.

        They are copied once per device: a copy from a GPU waits for all its work.
        """
        if device not in self._copies:
            self._copies[device] = self.positions.to(device)
        return self._copies[device]


class ReplaySettings(BufferSettings):
    """Settings of a buffer, and of the number of its images that join a batch."""

    replay_size: int | None = Field(None, ge=2, description="replayed images of a step; null: as many as its own")


R = TypeVar("R", bound=ReplaySettings, covariant=True, default=ReplaySettings)


class ReplayStrategy(BufferStrategy[R]):
    """Add random images of the buffer to every batch."""

    Settings: ClassVar[type[Options]] = ReplaySettings

    @classmethod
    def replayed_rows(cls, settings: dict[str, Any], batch_size: int) -> int:
        """Return the number of replayed rows with a full buffer."""
        wanted, kept = settings["replay_size"] or batch_size, settings["buffer_size"]
        return int(min(wanted, kept))

    def replay(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return sample indices drawn without repetition; all of them if the buffer holds fewer than requested."""
        if len(self.positions) == 0:
            return None
        order = torch.randperm(len(self.positions), generator=generator, device=generator.device)
        return self.positions_on(order.device)[order[: self.settings.replay_size or count]]
