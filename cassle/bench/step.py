"""How fast a training step of the second task is: views, network, distillation, optimiser and online classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

import torch
from pydantic import Field
from torch.utils.flop_counter import FlopCounterMode

from cassle.allocator import keep_freed_memory
from cassle.bench.base import as_text, begin, rate, result, seconds_per_call
from cassle.bench.recipe import RecipeSettings, pictures, specs, training_of
from cassle.data.base import InMemory
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.views import Views
from cassle.models.teacher import Teacher
from cassle.settings import Choice, Site
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy
from cassle.training.learner import Learner
from cassle.training.precision import resolve_precision
from cassle.training.state import Position

__all__ = ["BenchSettings", "as_text", "measure"]

PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Part of a GPU's name -> dense bf16 operations per second with single-precision sums, from the makers' data sheets."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class BenchSettings(RecipeSettings):
    """One step on made-up images in memory."""

    backbone: Choice | None = Field(None, description="backbone; null: the data set's default")
    strategy: Choice = Field("cassle", description="strategy")
    images: int = Field(2048, gt=0, description="images in memory, at least a batch")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return images per second of whole steps, of their views alone, and on a GPU of compiled steps."""
    device = begin(site)
    keep_freed_memory()
    spec = specs({**settings.words(), "strategy": settings.strategy}, settings.backbone)[1]
    precision = resolve_precision(site.execution.precision, device)
    cases: dict[str, Callable[[], Any]] = {}
    step = Step(spec, settings, device, precision)
    cases["step"] = step
    cases["its views"] = lambda: step.learner.draw_views(next(step.batches))
    if device.type == "cuda":
        compiled = Step(spec, settings, device, precision)
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


class Step:
    """Each call trains on one batch, as the training job does."""

    def __init__(self, spec: dict[str, Any], settings: BenchSettings, device: torch.device, precision: str) -> None:
        facts, training = settings.facts(), training_of(spec)
        side, number = facts.image_size, max(settings.images, training.batch_size)
        nothing = torch.zeros(number, dtype=torch.long)
        images = InMemory(pictures(number, side, side), nothing, nothing)
        rows = TaskRows(torch.arange(number), torch.arange(number), training.batch_size, 0, 1)
        views = Views(training.views, facts.mean, facts.std)
        model = build_model(spec, side, facts.num_classes or 100)
        strategy = build_strategy(spec, model)
        teacher = None
        if strategy.teacher_batchnorm is not None:
            teacher = Teacher(copy.deepcopy(model), strategy.teacher_batchnorm)
        loader = open_loader("device", images, rows, views, device, 1)
        drawn = (views, views.clean, views.last())
        self.learner = Learner(model, strategy, teacher, training, loader, *drawn, Position()).to(device)
        self.learner.train()
        self.optimizer = self.learner.configure_optimizers()
        self.size, self.device, self.precision = training.batch_size, device, precision
        self.batches = self._batches()

    def _batches(self) -> Iterator[Batch]:
        for epoch in count():
            yield from self.learner.loader.epoch(epoch)

    def __call__(self) -> None:
        with self.mixed():
            loss = self.learner.training_step(next(self.batches), 0)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.learner.on_after_backward()
        self.optimizer.step()
        self.learner.model.objective.after_step(self.learner.model.backbone, self.learner.moment)

    def mixed(self) -> AbstractContextManager[Any]:
        """Return the mixed precision that a step runs in."""
        half = HALF.get(self.precision)
        return nullcontext() if half is None else torch.autocast(self.device.type, half)

    def flops(self) -> int:
        """Return the floating-point operations of the products and convolutions of one step, views apart."""
        batch = next(self.batches)
        views = self.learner.draw_views(batch)
        drawn, self.learner.draw_views = self.learner.draw_views, lambda _: views
        with FlopCounterMode(display=False) as counter:
            self()
        self.learner.draw_views = drawn
        return int(counter.get_total_flops())
