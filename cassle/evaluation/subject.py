"""The frozen network under evaluation: of a checkpoint, of a external file, or untrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cassle.contracts.specs import ProbeSpec
from cassle.evaluation.external import load_external
from cassle.models.checkpoints import load_checkpoint, load_into
from cassle.nets.base import Backbone
from cassle.objectives.base import Objective
from cassle.training.build import build_backbone, build_model

ROWS = 4096
"""Rows that a projector works on at a time."""


@dataclass(frozen=True)
class Subject:
    """A backbone in evaluation mode for images of ``image_size`` pixels, and what was trained with it.

    ``objective`` and ``classifier`` (online) are None for a backbone that came alone; ``fingerprint`` is that of the
    checkpoint, None for the untrained network.
    """

    backbone: Backbone
    image_size: int
    objective: Objective | None = None
    classifier: nn.Linear | None = None
    fingerprint: str | None = None

    @property
    def linear_lr(self) -> float:
        """The learning rate of linear evaluation that suits the objective."""
        return (self.objective or Objective).linear_lr

    @torch.no_grad()
    def project(self, features: Tensor) -> Tensor:
        """Return the projections (N, D) of features (N, F), in parts of bounded size."""
        if self.objective is None:
            raise RuntimeError("a backbone that came alone has no projector")
        return torch.cat([self.objective.project(rows) for rows in torch.split(features, ROWS)])

    def to(self, device: torch.device) -> Subject:
        """Move everything to a device."""
        for module in (self.backbone, self.objective, self.classifier):
            if module is not None:
                module.to(device)
        return self


def load_subject(spec: ProbeSpec, checkpoint: Path | None, data: Mapping[str, Mapping[str, Any]]) -> Subject:
    """Return the network of an evaluation; ``data``: settings per dataset.

    ``spec.backbone`` is that of the untrained network, or of an external checkpoint if there is one; a checkpoint of
    this software describes itself. Raises `CheckpointError` for a file that cannot be read or does not fit.
    """
    if spec.backbone is not None:
        size = spec.image_size or spec.stream.open(data).image_size
        backbone = build_backbone(spec.backbone, size, spec.seed)
        fingerprint = None if checkpoint is None else load_external(checkpoint, backbone)
        return Subject(backbone.eval().requires_grad_(False), size, fingerprint=fingerprint)
    if checkpoint is None:
        raise RuntimeError("neither a checkpoint nor a backbone to evaluate")
    return load_own_subject(checkpoint, data)


def load_own_subject(checkpoint: Path, data: Mapping[str, Mapping[str, Any]]) -> Subject:
    """Return the network of a checkpoint of this software; `CheckpointError` as `load_subject`."""
    held = load_checkpoint(checkpoint)
    made = held.provenance.spec
    size = made.stream.open(data).image_size
    model = build_model(made, size, len(held.model["classifier.weight"]))
    load_into(model, held.model, str(checkpoint))
    model.eval().requires_grad_(False)
    return Subject(model.backbone, size, model.objective, model.classifier, held.fingerprint)
