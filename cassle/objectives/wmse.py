"""W-MSE: views agree after whitening, which no collapsed representation satisfies (Ermolov et al. 2021, 2007.06346)."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs, unmixed


def whiten(x: Tensor, eps: float = 0.0) -> Tensor:
    """Return x (..., N, D) with mean 0 and, for ``eps`` 0, covariance I over its N rows.

    With L L^T = (1 - eps) Cov(x) + eps I the Cholesky factorisation, Cov unbiased, row x_i becomes L^-1 (x_i - mean).
    For ``eps`` 0, N must exceed D and no feature may follow from others; otherwise NaN. Half precision is computed in
    single, also under autocast; nothing waits for the device.
    """
    with unmixed(x):
        x = x if x.dtype == torch.float64 else x.float()
        centered = x - x.mean(dim=-2, keepdim=True)
        covariance = centered.mT @ centered / (x.shape[-2] - 1)
        identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        factor = torch.linalg.cholesky_ex((1 - eps) * covariance + eps * identity, check_errors=False).L
        whitened: Tensor = torch.linalg.solve_triangular(factor, centered.mT, upper=False).mT
        return whitened


def mse_of_directions(x: Tensor, y: Tensor, detach_second: bool = False) -> Tensor:
    """Return the mean of 2 - 2 cos(x, y), the squared distance of unit vectors, over the last axis (..., D)."""
    return 2 - 2 * F.cosine_similarity(x, y.detach() if detach_second else y, dim=-1).mean()


def draw_groups(count: int, size: int, iterations: int, generator: torch.Generator) -> Tensor:
    """Return ``iterations`` random partitions of ``count`` rows into groups of ``size``: (iterations, groups, size).

    Rows that fill no group sit out in that iteration.
    """
    if count < size:
        raise SettingsError(
            f"W-MSE whitens groups of {size} images, but its loss got {count}; lower whitening_size or raise batch_size"
        )
    device, used = generator.device, count // size * size
    orders = [torch.randperm(count, generator=generator, device=device)[:used] for _ in range(iterations)]
    return torch.stack(orders).view(iterations, -1, size)


def wmse_loss(views: list[Tensor], groups: Tensor, eps: float, detach_second: bool = False) -> Tensor:
    """Return the loss of Section 3 of the paper: 2 - 2 cos of whitened rows, mean over pairs of views and iterations.

    ``views``: (N, D) each; ``groups`` (iterations, G, size) int64 rows that are whitened together, each view by itself
    and all in the same groups. ``detach_second`` stops the gradient into the later view of each pair.
    """
    whitened = whiten(torch.stack(views)[:, groups], eps)
    losses = [mse_of_directions(first, second, detach_second) for first, second in combinations(whitened, 2)]
    return torch.stack(losses).mean()


class WMSESettings(Options):
    """Hyper-parameters of W-MSE."""

    hidden_dim: int = Field(1024, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    whitening_size: int = Field(256, gt=1, description="images whitened together, at most the batch")
    whitening_iters: int = Field(1, gt=0, description="random partitions of the batch into such groups")
    whitening_eps: float = Field(0.0, ge=0, lt=1, description="share of the identity in the covariance")
    detach_second: bool = Field(
        False, description="no gradient into the second view of a pair, as in the original release"
    )

    @model_validator(mode="after")
    def _whitening_is_possible(self) -> WMSESettings:
        if self.whitening_eps == 0 and self.whitening_size <= self.output_dim:
            raise ValueError(
                f"{self.whitening_size} images cannot whiten {self.output_dim} features: whitening_size must exceed "
                "output_dim, or whitening_eps be above 0"
            )
        return self


@objectives.register("wmse")
class WMSE(Objective[WMSESettings]):
    """Projector Linear - BatchNorm - ReLU - Linear; nothing to carry but weights. Takes any number of views."""

    title = "W-MSE"
    Settings = WMSESettings
    distillation = "whitened"
    many_views = True

    def __init__(self, settings: WMSESettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim])
        self.output_dim = settings.output_dim

    def batch_incompatibility(self, images: int) -> str | None:
        """Return a reason if the images do not fill one whitened group."""
        size = self.settings.whitening_size
        return None if images >= size else f"whitening_size {size} exceeds the {images} images that its loss gets"

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return W-MSE over all pairs of views, in groups drawn from the batch's generator."""
        own = self.settings
        groups = draw_groups(len(outputs.z[0]), own.whitening_size, own.whitening_iters, batch.generator)
        return wmse_loss(outputs.z, groups, own.whitening_eps, own.detach_second)
