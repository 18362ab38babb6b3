"""From a job's settings to the objects it works with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cassle.core.options import parse
from cassle.core.provenance import class_file, code_fingerprint
from cassle.core.random import seed_of
from cassle.data.base import datasets
from cassle.models.model import Model
from cassle.nets.base import Backbone, backbones
from cassle.objectives.base import objectives
from cassle.strategies.base import Strategy
from cassle.strategies.compose import build_parts, strategy_classes


def build_backbone(spec: dict[str, Any], image_size: int, seed: int) -> Backbone:
    """Return a backbone with the random weights of a run's seed; equal for every objective and strategy."""
    torch.manual_seed(seed_of(seed, "backbone", spec["name"]))
    kind = backbones.get(spec["name"])
    backbone = kind(image_size, parse(kind.Settings, spec["settings"], f"backbone {spec['name']}"))
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
    return build_parts(part["name"], part["settings"], model, spec["seed"])


def training_code(spec: dict[str, Any]) -> str:
    """Return the fingerprint of the code that a training depends on, its methods and plugins included."""
    return _code(spec, "train_task.py")


def memory_code(spec: dict[str, Any]) -> str:
    """Return the fingerprint of the code that a memory depends on."""
    return _code(spec, "memory.py")


def _code(spec: dict[str, Any], root: str) -> str:
    objective = objectives.get(spec["objective"]["name"])
    kinds = [datasets.get(spec["stream"]["dataset"]), backbones.get(spec["backbone"]["name"]), objective]
    if spec["strategy"] is not None:
        kinds += strategy_classes(spec["strategy"]["name"], spec["strategy"]["settings"])
    return code_fingerprint([Path(__file__).parent / root, *map(class_file, kinds)])
