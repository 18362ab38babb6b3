"""What a network makes of the views of a batch, and the precision that losses read it in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Outputs:
    """What the network makes of the views; every list has one tensor per view.

    ``features`` (B, F) of the backbone; ``z`` (B, D) of the projector, before any normalization; ``p`` what the
    objective puts on top (predictions or prototype scores), if it does; ``targets`` outputs of a momentum network,
    without gradient, if there is one; ``maps`` one list of (B, C, H, W) stage outputs per view, only if a strategy
    asked for them.
    """

    features: list[Tensor]
    z: list[Tensor]
    p: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    maps: list[list[Tensor]] = field(default_factory=list)

    def of_views(self, places: list[int]) -> Outputs:
        """Return the outputs of some of the views; targets, which the objective alone reads, stay as they are."""
        features, z, p = ([part[place] for place in places] if part else [] for part in (self.features, self.z, self.p))
        maps = [self.maps[place] for place in places] if self.maps else []
        return Outputs(features, z, p, self.targets, maps)

    def in_full(self) -> Outputs:
        """Return the outputs at single precision or better: losses need the digits that networks can do without."""
        if self.z[0].dtype not in HALF:
            return self
        features, z, p, targets = ([full(x) for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets, [[full(x) for x in maps] for maps in self.maps])

    def rows(self, chosen: slice) -> Outputs:
        """Return the outputs of some rows, without maps."""
        features, z, p, targets = ([x[chosen] for x in part] for part in (self.features, self.z, self.p, self.targets))
        return Outputs(features, z, p, targets)


def full(x: Tensor) -> Tensor:
    """Return a tensor of half precision in single precision, and any other as it is."""
    return x.float() if x.dtype in HALF else x


def unmixed(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without mixed precision on a tensor's device; one without storage has none to begin with."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
