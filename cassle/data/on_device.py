"""Numbers and tensors on a device, without making the host wait for what the device is still at work on.

A tensor made of Python numbers, or copied from pageable memory, waits for everything that the GPU was given before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def constant(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers (n,) float32 on a device; the same tensor every time, so it must not be changed."""
    return _constant(tuple(map(float, values)), device)


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a copy from the host is ordered before whatever the device does next."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
