"""Distillation by mean squared error, for VICReg (CaSSLe, 2112.04215, Table 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.distillations.base import Distillation, distillations
from cassle.objectives.base import Objective


def mse_distillation_loss(p: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return the mean over views of the mean of (p - frozen)^2 over all N D entries, (N, D) each.

    This is the invariance term of VICReg alone: neither side is normalized, and frozen features need no variance.
    """
    return torch.stack([F.mse_loss(ours, theirs) for ours, theirs in zip(p, frozen, strict=True)]).mean()


@distillations.register("mse")
class MeanSquaredError(Distillation):
    """Mean squared error between g(z) and the frozen projections."""

    default_weight = 25.0

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `mse_distillation_loss`."""
        return mse_distillation_loss(p, frozen)
