"""From a job's settings to the objects it works with."""

from __future__ import annotations

from pathlib import Path

import torch

from cassle.contracts.specs import Component, NetworkSpec, TrainSpec
from cassle.core.options import parse
from cassle.core.provenance import class_file, code_fingerprint
from cassle.core.random import seed_of
from cassle.data.base import datasets
from cassle.models.model import Model
from cassle.nets.base import Backbone, backbones
from cassle.objectives.base import objectives
from cassle.strategies.base import Strategy
from cassle.strategies.compose import build_parts, strategy_classes


def build_backbone(component: Component, image_size: int, seed: int) -> Backbone:
    """Return a backbone with the random weights of a run's seed; equal for every objective and strategy."""
    torch.manual_seed(seed_of(seed, "backbone", component.name))
    kind = backbones.get(component.name)
    backbone = kind(image_size, parse(kind.Settings, component.settings, f"backbone {component.name}"))
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_model(spec: NetworkSpec, image_size: int, num_classes: int) -> Model:
    """Return the network of a specification with its initial weights."""
    backbone = build_backbone(spec.backbone, image_size, spec.seed)
    torch.manual_seed(seed_of(spec.seed, "objective", spec.objective.name))
    kind = objectives.get(spec.objective.name)
    settings = parse(kind.Settings, spec.objective.settings, f"objective {spec.objective.name}")
    return Model(backbone, kind(settings, backbone, num_classes), num_classes)


def build_strategy(spec: NetworkSpec, model: Model) -> Strategy:
    """Return the strategy of a job, with the random weights of (seed, strategy); fine-tuning for a shared task."""
    strategy = spec.strategy or Component(name="finetune", settings={})
    return build_parts(strategy.name, strategy.settings, model, spec.seed)


def training_code(spec: TrainSpec) -> str:
    """Return the fingerprint of the code that a training depends on, its methods and plugins included."""
    return _code(spec, "train_task.py")


def memory_code(spec: TrainSpec) -> str:
    """Return the fingerprint of the code that a memory depends on."""
    return _code(spec, "memory.py")


def _code(spec: TrainSpec, root: str) -> str:
    objective = objectives.get(spec.objective.name)
    kinds = [datasets.get(spec.stream.dataset), backbones.get(spec.backbone.name), objective]
    if spec.strategy is not None:
        kinds += strategy_classes(spec.strategy.name, spec.strategy.settings)
    return code_fingerprint([Path(__file__).parent / root, *map(class_file, kinds)])
