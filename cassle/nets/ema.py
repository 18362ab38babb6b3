"""Momentum networks: an exponential moving average of weights, and its coefficient over a task (BYOL, 2006.07733)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def momentum_tau(base: float, final: float, step: int, steps: int) -> float:
    """Return the coefficient after ``step`` of ``steps`` optimizer steps: from ``base`` to ``final`` on a half cosine.

    >>> momentum_tau(0.99, 1.0, 0, 10), momentum_tau(0.99, 1.0, 10, 10)
    (0.99, 1.0)
    """
    return final - (final - base) * (math.cos(math.pi * step / steps) + 1) / 2


@torch.no_grad()
def ema_update(averages: Iterable[Tensor], online: Iterable[Tensor], tau: float) -> None:
    """Move ``averages`` in place to tau * averages + (1 - tau) * online."""
    torch._foreach_lerp_(list(averages), list(online), 1 - tau)
