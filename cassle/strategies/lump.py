"""LUMP: views of the task are mixed with views of replayed images (Madaan et al. 2022, 2110.06976).

x~_v = l * x_v + (1 - l) * y_v,   L = L_SSL(x~_1, x~_2)

x_v is view v of an own image, y_v that of an image from the buffer, l ~ Beta(alpha, alpha), one draw per step.
Defaults: alpha 0.4 and a buffer of 256 images are those of the authors' release for CIFAR-10, CIFAR-100 and
Tiny-ImageNet; the buffer is filled by reservoir sampling, as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.core.random import seed_of
from cassle.objectives.base import Objective
from cassle.strategies.base import strategies
from cassle.strategies.buffers import BufferSettings, BufferStrategy
from cassle.tensors.batch import Batch


class LUMPSettings(BufferSettings):
    """Settings of LUMP."""

    buffer_size: int = Field(256, ge=0, description="images kept of all past tasks together")
    alpha: float = Field(0.4, gt=0, description="both parameters of the Beta distribution that mixing weights are of")
    mixing: float | None = Field(
        None, ge=0, le=1, description="a fixed weight of the own view; null: drawn at every step"
    )


@strategies.register("lump")
class LUMP(BufferStrategy[LUMPSettings]):
    """Every own row gets a partner; partners repeat if the buffer holds fewer images than the batch."""

    title = "LUMP"
    Settings = LUMPSettings

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Refuse objectives with labels: a mixed image has none."""
        if objective.supervised:
            raise SettingsError(f"strategy lump mixes images, and {objective.__name__} has no label for a mixed one")
        return super().resolve(given, objective)

    @classmethod
    def replayed_rows(cls, settings: dict[str, Any], batch_size: int) -> int:
        """Return 0: replayed images are mixed into own rows."""
        return 0

    def replay(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return ``count`` sample indices; how often they repeat differs by at most one."""
        kept = len(self.positions)
        if kept == 0:
            return None
        order = torch.randperm(kept, generator=generator, device=generator.device)
        return self.positions_on(order.device)[order.repeat(-(-count // kept))[:count]]

    def mix_views(self, views: list[Tensor], batch: Batch) -> tuple[list[Tensor], Batch]:
        """Return mixed views of the own rows."""
        if not batch.replayed:
            return views, batch
        own, _ = batch.parts()
        count, weight = len(own.index), self.mixing_weight(batch)
        return [weight * view[:count] + (1 - weight) * view[count:] for view in views], own

    def mixing_weight(self, batch: Batch) -> float:
        """Return l of this step, drawn on the host from the initial seed of the step's generator."""
        if self.settings.mixing is not None:
            return self.settings.mixing
        draws = np.random.default_rng(seed_of(batch.generator.initial_seed(), "mixing"))
        return float(draws.beta(self.settings.alpha, self.settings.alpha))
