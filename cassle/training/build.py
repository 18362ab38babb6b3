"""From a job's settings to the objects it works with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cassle.nets.base import Backbone, backbones
from cassle.objectives.base import objectives
from cassle.options import parse
from cassle.provenance import class_file, code_fingerprint
from cassle.random import seed_of
from cassle.strategies.base import Strategy, strategies
from cassle.training.model import Model


def build_backbone(spec: dict[str, Any], image_size: int, seed: int) -> Backbone:
    """Return a backbone with the random weights of a run's seed; equal for every objective and strategy."""
    torch.manual_seed(seed_of(seed, "backbone", spec["name"]))
    backbone = backbones.get(spec["name"])(image_size, **spec["settings"])
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_model(spec: dict[str, Any], image_size: int, num_classes: int) -> Model:
    """Return the network of a training job's settings with its initial weights."""
    backbone = build_backbone(spec["backbone"], image_size, spec["seed"])
    torch.manual_seed(seed_of(spec["seed"], "objective", spec["objective"]["name"]))
    kind = objectives.get(spec["objective"]["name"])
    settings = parse(kind.Settings, spec["objective"]["settings"], "objective")
    return Model(backbone, kind(settings, backbone, num_classes), num_classes)


def build_strategy(spec: dict[str, Any], model: Model) -> Strategy:
    """Return the strategy of a job, with the random weights of (seed, strategy); fine-tuning for a shared task."""
    part = spec["strategy"] or {"name": "finetune", "settings": {}}
    torch.manual_seed(seed_of(spec["seed"], "strategy", part["name"]))
    kind = strategies.get(part["name"])
    return kind(parse(kind.Settings, part["settings"], "strategy"), model)


def training_code(model: Model, strategy: Strategy) -> str:
    """Return the fingerprint of the code that this training depends on, its own classes and plugins included."""
    used = {type(module) for part in (model, strategy) for module in part.modules()}
    own = {class_file(kind) for kind in used if kind.__module__.startswith("cassle")}
    return code_fingerprint([Path(__file__).parent / "job.py", *own])
