"""The momentum network of BYOL, MoCo, ReSSL and DINO."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cassle.nets.base import Backbone
from cassle.nets.ema import ema_update


class MomentumNetwork(nn.Module):
    """A moving average of backbone and projector; it shares the training mode of its owner and gets no gradient.

    Only parameters are averaged; the running statistics of its BatchNorm come from its own passes.
    """

    def __init__(self, backbone: Backbone, projector: nn.Module) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.projector = copy.deepcopy(projector)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: list[Tensor]) -> list[Tensor]:
        """Return the projections (B, D) of the views, one pass per view in their order."""
        return [self.projector(self.backbone(view)) for view in views]

    def follow(self, backbone: Backbone, projector: nn.Module, tau: float) -> None:
        """Move every parameter to tau times itself plus 1 - tau times the online one."""
        online = [*backbone.parameters(), *projector.parameters()]
        ema_update([*self.backbone.parameters(), *self.projector.parameters()], online, tau)
