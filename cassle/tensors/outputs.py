"""The outputs of a network for the views of a batch, and the precision in which losses read them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Outputs:
    """The outputs of the network for the views; every list has one tensor per view.

    ``features`` (B, F) of the backbone; ``z`` (B, D) of the projector, before any normalization; ``p`` the
    outputs of the objective's heads (predictions or prototype scores), if it has any; ``targets`` the outputs of a
    momentum network, without gradient, if there is one; ``maps`` one list of (B, C, H, W) stage outputs per view, only
    if a strategy requests them.
    """

    features: list[Tensor]
    z: list[Tensor]
    p: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    maps: list[list[Tensor]] = field(default_factory=list)

    def of_views(self, indices: list[int]) -> Outputs:
        """Return the outputs of some of the views; targets, which only the objective reads, stay unchanged."""
        features, z, p = ([part[view] for view in indices] if part else [] for part in (self.features, self.z, self.p))
        maps = [self.maps[view] for view in indices] if self.maps else []
        return Outputs(features, z, p, self.targets, maps)

    def in_full(self) -> Outputs:
        """Return the outputs at single precision or better: losses need more digits than networks."""
        if self.z[0].dtype not in HALF:
            return self
        features, z, p, targets = ([full(x) for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets, [[full(x) for x in maps] for maps in self.maps])

    def rows(self, chosen: slice) -> Outputs:
        """Return the outputs of some rows, without maps."""
        features, z, p, targets = ([x[chosen] for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets)


def full(x: Tensor) -> Tensor:
    """Return a half-precision tensor in single precision, and any other tensor unchanged."""
    return x.float() if x.dtype in HALF else x


def unmixed(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without mixed precision on a tensor's device; a meta tensor has none to disable."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
