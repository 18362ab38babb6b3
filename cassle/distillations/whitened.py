"""Whitened distillation, for W-MSE: predictions and frozen projections agree after whitening."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.objectives.base import Objective
from cassle.objectives.wmse import mse_of_directions, whiten


def whitened_distillation_loss(p: list[Tensor], frozen: list[Tensor], eps: float) -> Tensor:
    """Return the mean over views and rows of 2 - 2 cos(whiten(p), whiten(frozen)), (N, D) each.

    Either side is whitened over the N rows of its view; see `whiten` for ``eps``.
    """
    losses = [mse_of_directions(whiten(ours, eps), whiten(theirs, eps)) for ours, theirs in zip(p, frozen, strict=True)]
    return torch.stack(losses).mean()


class WhitenedSettings(DistillationSettings):
    """Settings of whitened distillation."""

    eps: float = Field(
        0.0, ge=0, lt=1, description="share of the identity in the covariance; 0 needs batches larger than z"
    )


@distillations.register("whitened")
class Whitened(Distillation[WhitenedSettings]):
    """W-MSE between g(z) and the frozen projections, over the whole batch at once.

    W-MSE determines z only up to its mean and covariance: raw projections may have nearly one direction, and a plain
    cosine would then accept every prediction. Whitening removes both. The frozen side needs the
    statistics of the same rows as the prediction's side, so that a perfect copy has loss 0. Groups would only make them
    noisier: nothing has to be kept from collapsing here.
    """

    Settings = WhitenedSettings

    def batch_incompatibility(self, images: int, dim: int) -> str | None:
        """Return a reason if there are too few images to whiten."""
        if self.settings.eps > 0 or images > dim:
            return None
        return f"{images} images cannot whiten vectors of size {dim}; set its eps above 0, or compare more images"

    def compare(self, p: list[Tensor], frozen: list[Tensor], teacher: Objective) -> Tensor:
        """Return `whitened_distillation_loss`."""
        return whitened_distillation_loss(p, frozen, self.settings.eps)
