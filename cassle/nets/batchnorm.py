"""BatchNorm over the batches of all processes, on the CPU as well as on GPUs."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cassle.runtime import distributed
from cassle.tensors.outputs import full

LOCAL = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The modules that normalize over the batch of one process only."""


class _Normalize(torch.autograd.Function):
    """Normalizes x (n, C, ...) with the mean and variance (C,) of all processes, of which x is a part.

    With u = (x - mean) / s, y = weight u + bias, g the gradient of y, and M the mean over all rows and pixels of all
    processes (Ioffe & Szegedy 2015, 1502.03167, Section 3): the gradient of x is weight / s (g - M[g] - u M[g u]).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        # with fixed statistics: weight / s g, and the sums of g u and of g over this process
        direct, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        count = distributed.size() * x.numel() // x.shape[1]
        mean_gu, mean_g = (distributed.all_reduce_sum(torch.stack([d_weight, d_bias])) / count).unbind()
        inverse = (variance + ctx.eps).rsqrt()
        slope, offset = weight * inverse.square() * mean_gu, weight * inverse * mean_g
        d_x = direct - ((x - _column(mean, x)) * _column(slope, x) + _column(offset, x))
        return d_x.to(x.dtype), d_weight, d_bias, None, None, None


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics, in training, are those of the batches of all processes; all have equally many rows.

    Its state is that of torch's BatchNorm, and its gradient that of one process with all rows.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions from two."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized (n, C, ...)."""
        if not self.training or distributed.size() == 1:
            return super().forward(input)
        mean, variance = global_moments(input)
        if self.track_running_stats:
            self._follow(mean, variance, distributed.size() * input.numel() // input.shape[1])
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        return cast(Tensor, _Normalize.apply(input, weight, bias, mean, variance, self.eps))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = (1 / self.num_batches_tracked).to(mean) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / (count - 1)), share)


@torch.no_grad()
def global_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance (C,) of x (n, C, ...) over the rows and pixels of all processes.

    Processes exchange their own moments, which avoids the difference of large sums (Chan et al. 1979).
    """
    variance, mean = torch.var_mean(full(x), [place for place in range(x.ndim) if place != 1], correction=0)
    means, variances = distributed.gather(torch.stack([mean, variance])[None]).unbind(1)
    mean = means.mean(dim=0)
    return mean, variances.mean(dim=0) + (means - mean).square().mean(dim=0)


def synchronize(*modules: nn.Module | None) -> None:
    """Make every BatchNorm in some modules normalize over all processes, if there are several.

    Modules change in place, so that every reference to them stays valid.
    """
    if distributed.size() > 1:
        for module in filter(None, modules):
            for part in module.modules():
                if type(part) in LOCAL:
                    part.__class__ = GlobalBatchNorm


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))
