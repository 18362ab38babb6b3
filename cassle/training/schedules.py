"""Learning-rate schedules: functions of the epoch alone, so that no state has to be saved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cassle.settings.schedule import ConstantSettings, CosineSettings, WarmupCosineSettings

if TYPE_CHECKING:
    from torch.optim import Optimizer


def warmup_cosine(
    epoch: int, base: float, warmup_epochs: int, max_epochs: int, warmup_start_lr: float, min_lr: float
) -> float:
    """Return the rate of an epoch, 0 <= epoch <= max_epochs (SGDR, 1608.03983, with a linear warm-up).

    With W warm-up epochs of M: start + epoch (base - start) / (W - 1) while epoch < W, then
    min + (base - min) (1 + cos(pi (epoch - W) / (M - W))) / 2. So epochs W - 1 and W both use the base rate, a
    warm-up of one epoch uses the start rate, and the minimum belongs to epoch M, which is never trained.

    >>> [round(warmup_cosine(epoch, 1.0, 2, 4, 0.1, 0.0), 3) for epoch in range(5)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    if epoch < warmup_epochs:
        return warmup_start_lr + epoch * (base - warmup_start_lr) / max(warmup_epochs - 1, 1)
    progress = (epoch - warmup_epochs) / max(max_epochs - warmup_epochs, 1)
    return min_lr + (base - min_lr) * (1 + math.cos(math.pi * progress)) / 2


def learning_rate(
    settings: ConstantSettings | CosineSettings | WarmupCosineSettings, base_lr: float, epoch: int, epochs: int
) -> float:
    """Return the rate of an epoch, counted from 0, for a group whose base rate is ``base_lr``."""
    if isinstance(settings, WarmupCosineSettings):
        warmup, start = settings.warmup_epochs, settings.warmup_start_lr
        return warmup_cosine(epoch, base_lr, warmup, epochs, start, settings.min_lr)
    if isinstance(settings, CosineSettings):
        return warmup_cosine(epoch, base_lr, 0, epochs, base_lr, settings.min_lr)
    return base_lr


def set_learning_rates(
    optimizer: Optimizer,
    settings: ConstantSettings | CosineSettings | WarmupCosineSettings,
    epoch: int,
    epochs: int,
) -> None:
    """Give every group the rate of an epoch; groups that are not ``scheduled`` keep their ``base_lr``."""
    for group in optimizer.param_groups:
        base = group["base_lr"]
        group["lr"] = learning_rate(settings, base, epoch, epochs) if group["scheduled"] else base
