"""Throughput of a training step of the second task: views, network, distillation, optimizer, online classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field

from cassle.bench.base import as_text, begin, rate, result, seconds_per_call
from cassle.bench.trained import MeasuredStep
from cassle.bench.workload import RecipeSettings, plan_of
from cassle.runtime.allocator import keep_freed_memory
from cassle.settings.site import Site
from cassle.settings.study import Choice
from cassle.training.precision import HALF, resolve_precision

__all__ = ["BenchSettings", "as_text", "measure"]

PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Part of a GPU's name -> dense bf16 operations per second with single-precision sums, from the makers' data sheets."""


class BenchSettings(RecipeSettings):
    """One step on synthetic images in memory."""

    backbone: Choice | None = Field(None, description="backbone; null: the dataset's default")
    strategy: Choice = Field("cassle", description="strategy")
    images: int = Field(2048, gt=0, description="images in memory, at least a batch")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return images per second of whole steps, of their views alone, and on a GPU of compiled steps."""
    device = begin(site)
    keep_freed_memory()
    plan = plan_of({**settings.words(), "strategy": settings.strategy}, settings.backbone)
    precision = resolve_precision(site.execution.precision, device)
    made = plan, settings.facts(), settings.images, device, precision
    cases: dict[str, Callable[[], Any]] = {}
    step = MeasuredStep(*made)
    cases["step"] = step
    cases["its views"] = lambda: step.learner.draw_views(next(step.batches))
    if device.type == "cuda":
        compiled = MeasuredStep(*made)
        compiled.learner.model.backbone.compile()
        if compiled.learner.teacher is not None:
            compiled.learner.teacher.backbone.compile()
        cases["step, compiled"] = compiled
    flops = step.flops()
    times = seconds_per_call(cases, device, settings.rounds)
    rows = [rate(name, times[name], step.size, "images") for name in cases]
    peak = next(
        (p for name, p in PEAKS.items() if device.type == "cuda" and name in torch.cuda.get_device_name(device)), None
    )
    for row in rows:
        done = row["median"] / step.size * flops if row["name"] != "its views" else None
        row["TFLOP/s"] = None if done is None else done / 1e12
        row["share of peak"] = None if done is None or peak is None or precision not in HALF else done / peak
    measured = result("step", settings, site, device, rows)
    return {**measured, "precision": precision, "flops_per_step": flops}
