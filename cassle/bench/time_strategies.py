"""Cost of a step of each strategy relative to fine-tuning: time and memory."""

from __future__ import annotations

from statistics import median
from typing import Any

from pydantic import Field

from cassle.bench.base import as_text, begin, result, seconds_per_call
from cassle.bench.trained import MeasuredStep
from cassle.bench.workload import RecipeSettings, plan_of
from cassle.runtime.allocator import keep_freed_memory
from cassle.settings.site import Site
from cassle.settings.study import Choice
from cassle.strategies.base import strategies
from cassle.training.precision import resolve_precision

__all__ = ["BenchSettings", "as_text", "measure"]

MIB = 2**20


class BenchSettings(RecipeSettings):
    """One step of one objective, strategy by strategy, on synthetic images in memory."""

    backbone: Choice | None = Field(None, description="backbone; null: the dataset's default")
    strategies: list[Choice] = Field(default_factory=list, description="strategies beside fine-tuning; none: all")
    images: int = Field(1024, gt=0, description="images in memory, at least a batch")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return milliseconds per step of every strategy, measured in turns, and in MiB what it takes beside the network.

    *saved* is what a step keeps for its backward pass; *held* teacher, predictor and whatever else the strategy holds
    all along; *file* its memory file.
    """
    device = begin(site)
    keep_freed_memory()
    precision = resolve_precision(site.execution.precision, device)
    chosen = settings.strategies or [name for name in strategies.names() if name != "finetune"] + ["cassle+er"]
    cases = {}
    for choice in ("finetune", *chosen):
        plan = plan_of({**settings.words(), "strategy": choice}, settings.backbone)
        cases[next(iter(plan.rows)).strategy] = MeasuredStep(plan, settings.facts(), settings.images, device, precision)
    times = seconds_per_call(cases, device, settings.rounds)
    rows = []
    for name, step in cases.items():
        milliseconds = sorted(1e3 * seconds for seconds in times[name])
        rows.append(
            {
                "name": name,
                "median": median(milliseconds),
                "low": milliseconds[0],
                "high": milliseconds[-1],
                "unit": "ms/step",
                "x finetune": median(times[name]) / median(times["finetune"]),
                "saved MiB": step.saved_bytes() / MIB,
                "held MiB": step.held_bytes() / MIB,
                "file MiB": sum(tensor.nbytes for tensor in step.memory.values()) / MIB,
            }
        )
    return {**result("strategies", settings, site, device, rows), "precision": precision}
