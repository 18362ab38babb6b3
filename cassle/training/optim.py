"""Optimizers: LARS, and how groups of parameters become one optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from cassle.objectives.base import Group
from cassle.settings.recipe import (
    AdamWSettings,
    ConstantSettings,
    CosineSettings,
    LARSSettings,
    SGDSettings,
    WarmupCosineSettings,
)

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


Overrides = Mapping[str, Mapping[str, float]]
"""Group name -> ``lr`` (taken as it is) and ``weight_decay`` in place of the run's."""


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step per tensor follows the norm of the weights (You et al. 2017, 1708.03888).

    With weight w, gradient g, G = ||g|| and R = ||w|| over the whole tensor: q = eta R / (G + weight_decay R + 1e-8),
    with ``clip`` q <- min(q / lr, 1) (the LARC form), g <- q (g + weight_decay w); then buf <- momentum buf + g and
    w <- w - lr buf. Where R or G is 0, and with ``exclude_1d`` for every tensor of one dimension, g stays as it is:
    neither scaled nor decayed. A parameter without gradient is left alone, its momentum too.

    Nothing here reads a value back from the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 0.02,
        clip: bool = True,
        exclude_1d: bool = True,
    ) -> None:
        """Take parameters or groups of them; a group may bring its own value for any of the arguments."""
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "eta": eta,
            "clip": clip,
            "exclude_1d": exclude_1d,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run the closure, which computes the gradients, and only then scale them and move the weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        adapted = [i for i, w in enumerate(weights) if not (group["exclude_1d"] and w.ndim == 1)]
        grads = [cast(Tensor, w.grad) for w in weights]
        if adapted:
            scaled = scaled_gradients([weights[i] for i in adapted], [grads[i] for i in adapted], group)
            for i, gradient in zip(adapted, scaled, strict=True):
                grads[i] = gradient
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        buffers = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, grads)
        torch._foreach_add_(weights, buffers, alpha=-group["lr"])


def scaled_gradients(weights: list[Tensor], grads: list[Tensor], group: Mapping[str, Any]) -> list[Tensor]:
    """Return q (g + weight_decay w) per tensor, or g itself where w or g is zero; the inputs stay as they are.

    ``group`` holds ``lr``, ``weight_decay``, ``eta`` and ``clip``.
    """
    size = torch.stack(torch._foreach_norm(weights))
    slope = torch.stack(torch._foreach_norm(grads))
    ratio = group["eta"] * size / (slope + group["weight_decay"] * size + 1e-8)
    if group["clip"]:
        ratio = (ratio / group["lr"]).clamp(max=1)
    active = (size > 0) & (slope > 0)
    ratio = torch.where(active, ratio, 1.0)
    decay = group["weight_decay"] * active.to(size.dtype)
    decayed = torch._foreach_mul(weights, list(decay.unbind()))
    torch._foreach_add_(decayed, grads)
    torch._foreach_mul_(decayed, list(ratio.unbind()))
    return list(decayed)


def build_optimizer(
    settings: SGDSettings | LARSSettings | AdamWSettings,
    groups: Iterable[Group],
    batch_size: int,
    overrides: Overrides | None = None,
) -> torch.optim.Optimizer:
    """Return the optimizer of groups, for a global batch of ``batch_size`` images.

    A group starts at lr * batch_size / lr_per * lr_scale, or at the ``lr`` of its override. Every parameter group
    keeps ``name``, ``base_lr`` and ``scheduled`` for the schedule; groups without parameters are left out.
    """
    run_lr = settings.lr * (batch_size / settings.lr_per if settings.lr_per else 1.0)
    made: list[dict[str, Any]] = []
    for group in groups:
        if group.parameters:
            lr = run_lr * group.lr_scale
            own = {"lr": lr, "weight_decay": settings.weight_decay, **(overrides or {}).get(group.name, {})}
            facts = {"name": group.name, "base_lr": own["lr"], "scheduled": group.scheduled}
            made.append({"params": group.parameters, **own, **facts})
    if isinstance(settings, LARSSettings):
        return LARS(made, run_lr, settings.momentum, 0.0, settings.eta, settings.clip, settings.exclude_1d)
    if isinstance(settings, SGDSettings):
        return torch.optim.SGD(made, run_lr, settings.momentum, fused=_fusible(made))
    return torch.optim.AdamW(made, run_lr, settings.betas, fused=_fusible(made))


def _fusible(groups: list[dict[str, Any]]) -> bool | None:
    """Return True where one kernel can update all parameters, None where torch shall choose."""
    weights = [p for group in groups for p in group["params"]]
    if all(p.device.type == "cuda" for p in weights):
        return True
    # the CPU kernel goes through memory in order, whatever the strides of a gradient are
    return all(p.device.type == "cpu" and p.is_contiguous() for p in weights) or None
