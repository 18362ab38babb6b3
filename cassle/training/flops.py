"""What one image costs in a training step, and what a checkpoint weighs: counted on tensors without storage."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cassle.core.files import canonical_json
from cassle.core.options import parse
from cassle.models.teacher import Teacher
from cassle.nets.base import backbones
from cassle.strategies.compose import replayed
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy
from cassle.training.step import training_step


@dataclass(frozen=True)
class StepCost:
    """Floating-point operations per own image of a step, and bytes of the checkpoint that it ends in.

    Operations are those of matrix products and convolutions, forward and backward; a multiplication and an addition
    are two.
    """

    flops: float
    checkpoint_bytes: int


def step_cost(spec: Mapping[str, Any], image_size: int, num_classes: int) -> StepCost:
    """Return the cost of a training job's step, Eq. 5 of the paper: views, teacher and losses with all gradients.

    The online classifier is not in it. Replayed rows are, as if the buffer were full. Nothing is computed, so that any
    network is counted in seconds.
    """
    parts = {key: spec[key] for key in ("backbone", "objective", "strategy")}
    training = spec["training"]
    sides = [view["size"] for view in training["views"]]
    shape = {"batch_size": training["batch_size"], "sides": sides, "task": min(spec["task"], 1), "seed": 0}
    return _step_cost(canonical_json({**parts, **shape}), image_size, num_classes)


@cache
def _step_cost(text: str, image_size: int, num_classes: int) -> StepCost:
    spec = json.loads(text)
    count = spec["batch_size"]
    with torch.device("meta"):
        model = build_model(spec, image_size, num_classes)
        strategy = build_strategy(spec, model)
        batchnorm = strategy.teacher_batchnorm if spec["task"] else None
        teacher = None if batchnorm is None else Teacher(copy.deepcopy(model), batchnorm)
        views = [torch.empty(count, 3, side, side) for side in spec["sides"]]
        batch = _blank_batch(count, spec["task"])
        with FlopCounterMode(display=False) as counter:
            losses, _ = training_step(batch, lambda _: views, model, strategy, teacher)
            losses.total.backward()  # type: ignore[no-untyped-call]
    acts = spec["task"] and spec["strategy"]
    rows = count + (replayed(spec["strategy"]["name"], spec["strategy"]["settings"], count) if acts else 0)
    return StepCost(counter.get_total_flops() / count * rows / count, _bytes(model) + _bytes(strategy))


def training_flops(spec: Mapping[str, Any], image_size: int, num_classes: int) -> float:
    """Return the operations per own image of a training: of its step, and of the online classifier's clean image."""
    return step_cost(spec, image_size, num_classes).flops + forward_flops(spec["backbone"], image_size)


def memory_cost(
    spec: Mapping[str, Any], images: int, batch_size: int, image_size: int, num_classes: int
) -> tuple[float, int]:
    """Return operations and bytes of remembering a task of so many images; ``spec`` is that of the memory."""
    with torch.device("meta"):
        strategy = build_strategy(dict(spec), build_model(dict(spec), image_size, num_classes))
    upkeep = strategy.upkeep(images, batch_size)
    flops = upkeep.forward * forward_flops(spec["backbone"], image_size)
    if upkeep.steps:
        flops += upkeep.steps * step_cost({**spec, "strategy": None}, image_size, num_classes).flops
    return flops, upkeep.bytes


def _blank_batch(count: int, task: int) -> Batch:
    """Return a batch of ``count`` rows without storage; nobody looks at its images."""
    index = torch.arange(count)
    return Batch(index, None, index, task, torch.zeros(count, dtype=torch.bool), torch.Generator())


def forward_flops(spec: Mapping[str, Any], image_size: int) -> float:
    """Return the operations of one image through a backbone; ``spec`` holds its name and settings."""
    return _forward_flops(spec["name"], canonical_json(spec["settings"]), image_size)


@cache
def _forward_flops(name: str, settings: str, image_size: int) -> float:
    kind = backbones.get(name)
    with torch.device("meta"):
        backbone = kind(image_size, parse(kind.Settings, json.loads(settings), f"backbone {name}")).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone(torch.empty(1, 3, image_size, image_size))
    return float(counter.get_total_flops())


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
