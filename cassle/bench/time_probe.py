"""Time of an evaluation: features of images, and every probe on features."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from cassle.bench.base import as_text, begin, rate, result, seconds_per_call
from cassle.bench.workload import RecipeSettings, pictures, specs
from cassle.data.base import InMemory
from cassle.data.views import clean_view
from cassle.evaluation.base import Evaluation, Half, probes
from cassle.nets.features import CLEAN_BATCH, extract_features
from cassle.settings.site import Site
from cassle.settings.study import Choice
from cassle.training.build import build_backbone

__all__ = ["BenchSettings", "as_text", "measure"]


ALONE: dict[str, Any] = dict.fromkeys(("crops", "project", "online", "state"), None)
ALONE |= {"view_size": 0, "linear_lr": 0.1}
"""What only probes that look at images or at a trained network ask for."""


class BenchSettings(RecipeSettings):
    """Features of a backbone, and probes on features of its width."""

    backbone: Choice | None = Field(None, description="backbone; null: the dataset's default")
    images: int = Field(512, gt=0, description="images whose features are extracted in one turn")
    train: int = Field(10000, gt=0, description="training features that probes are fitted on")
    test: int = Field(2000, gt=0, description="test features that probes predict")
    probes: list[str] = Field(default=["linear_cached", "knn"], description="probes")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return images per second through the backbone, and test features per second through fitting and prediction."""
    device, facts = begin(site), settings.facts()
    spec = specs(settings.words(), settings.backbone)[0]
    backbone = build_backbone(spec.backbone, facts.image_size, 0).to(device)
    side, nothing = facts.image_size, torch.zeros(settings.images, dtype=torch.long)
    images = InMemory(pictures(settings.images, side, side), nothing, nothing).to(device)
    classes = facts.num_classes or 100
    draw = torch.Generator().manual_seed(0)
    centers = torch.randn(classes, backbone.feature_dim, generator=draw)
    labels = {half: torch.randint(classes, (getattr(settings, half),), generator=draw) for half in ("train", "test")}
    features = {
        half: centers[own] + 4 * torch.randn(len(own), backbone.feature_dim, generator=draw)
        for half, own in labels.items()
    }

    halves = {half: Half(features[half], own, 0 * own, torch.arange(len(own))) for half, own in labels.items()}
    data = Evaluation(halves["train"], halves["test"], num_classes=classes, tasks=1, seed=0, **ALONE)

    def clean(batch: Tensor) -> Tensor:
        return clean_view(batch, side, facts.mean, facts.std)

    cases = {"features": lambda: extract_features(backbone, images, CLEAN_BATCH, device, clean)}
    for name in settings.probes:
        cases[name] = partial(probes.get(name)().scores, data)
    times = seconds_per_call(cases, device, settings.rounds)
    rows = [rate("features", times["features"], settings.images, "images")]
    rows += [rate(name, times[name], settings.test, "test images") for name in settings.probes]
    for row in rows:
        row["seconds"] = sorted(times[row["name"]])[len(times[row["name"]]) // 2]
    return result("probe", settings, site, device, rows)
