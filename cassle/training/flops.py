"""What one image costs in a training step, and what a checkpoint weighs: counted on tensors without storage."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cassle.contracts.specs import Component, MemorySpec, NetworkSpec, TrainSpec
from cassle.core.options import parse
from cassle.models.teacher import Teacher
from cassle.nets.base import backbones
from cassle.strategies.compose import replayed_rows
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


def step_cost(spec: TrainSpec, image_size: int, num_classes: int) -> StepCost:
    """Return the cost of a training job's step, Eq. 5 of the paper: views, teacher and losses with all gradients.

    The online classifier is not in it. Replayed samples are, as if the buffer were full. Nothing is computed, so that
    any network is counted in seconds.
    """
    network = NetworkSpec(seed=0, backbone=spec.backbone, objective=spec.objective, strategy=spec.strategy)
    sides = tuple(view.size for view in spec.training.views)
    return _step_cost(
        network.model_dump_json(), spec.training.batch_size, sides, min(spec.task, 1), image_size, num_classes
    )


@cache
def _step_cost(
    network: str, count: int, sides: tuple[int, ...], task: int, image_size: int, num_classes: int
) -> StepCost:
    spec = NetworkSpec.model_validate_json(network)
    with torch.device("meta"):
        model = build_model(spec, image_size, num_classes)
        strategy = build_strategy(spec, model)
        batchnorm = strategy.teacher_batchnorm if task else None
        teacher = None if batchnorm is None else Teacher(copy.deepcopy(model), batchnorm)
        views = [torch.empty(count, 3, side, side) for side in sides]
        batch = _blank_batch(count, task)
        with FlopCounterMode(display=False) as counter:
            losses, _ = training_step(batch, lambda _: views, model, strategy, teacher)
            losses.total.backward()  # type: ignore[no-untyped-call]
    acts = spec.strategy if task else None
    rows = count + (replayed_rows(acts.name, acts.settings, count) if acts else 0)
    return StepCost(counter.get_total_flops() / count * rows / count, _bytes(model) + _bytes(strategy))


def training_flops(spec: TrainSpec, image_size: int, num_classes: int) -> float:
    """Return the operations per own image of a training: of its step, and of the online classifier's clean image."""
    return step_cost(spec, image_size, num_classes).flops + forward_flops(spec.backbone, image_size)


def memory_cost(spec: MemorySpec, images: int, image_size: int, num_classes: int) -> tuple[float, int]:
    """Return operations and bytes of building the memory after a task of so many images."""
    with torch.device("meta"):
        strategy = build_strategy(spec, build_model(spec, image_size, num_classes))
    cost = strategy.memory_cost(images, spec.training.batch_size)
    flops = cost.forward * forward_flops(spec.backbone, image_size)
    if cost.steps:
        flops += cost.steps * step_cost(TrainSpec(**{**dict(spec), "strategy": None}), image_size, num_classes).flops
    return flops, cost.bytes


def _blank_batch(count: int, task: int) -> Batch:
    """Return a batch of ``count`` samples without storage; its images are never read."""
    index = torch.arange(count)
    return Batch(index, None, index, task, torch.zeros(count, dtype=torch.bool), torch.Generator())


def forward_flops(backbone: Component, image_size: int) -> float:
    """Return the operations of one image through a backbone."""
    return _forward_flops(backbone.model_dump_json(), image_size)


@cache
def _forward_flops(component: str, image_size: int) -> float:
    held = Component.model_validate_json(component)
    kind = backbones.get(held.name)
    with torch.device("meta"):
        backbone = kind(image_size, parse(kind.Settings, held.settings, f"backbone {held.name}")).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone(torch.empty(1, 3, image_size, image_size))
    return float(counter.get_total_flops())


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
