"""The rows that a loss compares: those of all processes, or groups of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.runtime.distributed import RankShard

LossGroup = Literal["global"] | int
"""Images a loss compares with each other: the global batch, or groups of this size."""


@dataclass(frozen=True)
class Scope:
    """The rows that the losses of a step compare: those of all processes, in consecutive groups of ``group``."""

    shard: RankShard | None = None
    group: LossGroup = "global"

    def gather(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the rows of the global batch, with gradient, from this process's rows (n, D) of each tensor."""
        return list(tensors) if self.shard is None else self.shard.gather_many(tensors)

    def mean(self, loss: Callable[[slice], Tensor], count: int) -> Tensor:
        """Return the mean of a loss over the groups of ``count`` rows."""
        if self.group == "global":
            return loss(slice(None))
        if count % self.group:
            raise SettingsError(f"training.loss_group {self.group} does not divide the {count} images of a step")
        groups = [slice(start, start + self.group) for start in range(0, count, self.group)]
        return torch.stack([loss(rows) for rows in groups]).mean()
