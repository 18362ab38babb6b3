"""The images of one optimizer step, and all that is random about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cassle.core.random import generator as generator_of
from cassle.runtime.distributed import Share


@dataclass(frozen=True)
class Aside:
    """Replayed rows that a strategy keeps from the objective: ``index`` (R,) and their views, (R, 3, S, S) each."""

    index: Tensor
    views: list[Tensor]


@dataclass(frozen=True)
class Batch:
    """Images of one optimizer step and all that is random about it.

    ``index`` (B,) int64 positions in the training split; ``images`` (B, 3, H, W) uint8, None where the
    loader has drawn the views already; ``labels`` (B,) int64, read only by objectives that say they are supervised;
    ``is_replay`` (B,) bool, true where a strategy added the row; ``generator`` belongs to this (seed, task, epoch,
    step) alone and lives on the batch's device; ``share`` says which rows of the global batch these are, None: all.
    """

    index: Tensor
    images: Tensor | None
    labels: Tensor
    task: int
    is_replay: Tensor
    generator: torch.Generator
    replayed: int = 0
    """How many rows, the last ones, a strategy added."""
    views: list[Tensor] | None = None
    """One (B, 3, S, S) float tensor per view, None where the step draws them from the images."""
    aside: Aside | None = None
    """Rows that took part in the step without the objective seeing them."""
    share: Share | None = None
    """Which rows of the global batch these are; None: all of it."""

    def parts(self) -> tuple[Batch, Batch]:
        """Return own and replayed rows; these have another generator, so that they never change what own rows draw."""
        own, device = len(self.index) - self.replayed, self.generator.device
        other = generator_of(self.generator.initial_seed(), "replayed", device=device)
        shares = (None, None) if self.share is None else self.share.parts
        return (
            self._rows(slice(0, own), 0, self.generator, shares[0]),
            self._rows(slice(own, None), self.replayed, other, shares[1]),
        )

    def _rows(self, rows: slice, replayed: int, generator: torch.Generator, share: Share | None) -> Batch:
        return replace(
            self,
            index=self.index[rows],
            images=None if self.images is None else self.images[rows],
            views=None if self.views is None else [view[rows] for view in self.views],
            labels=self.labels[rows],
            is_replay=self.is_replay[rows],
            generator=generator,
            replayed=replayed,
            share=share,
        )
