"""What a step of each strategy costs against fine-tuning: time, and memory that is held."""

from __future__ import annotations

import copy
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median, quantiles
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cassle.data.base import InMemory
from cassle.data.loaders.base import TaskRows
from cassle.data.loaders.device import DeviceLoader
from cassle.data.streams import Stream
from cassle.data.views import Views
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.objectives.base import Group, Moment
from cassle.options import Options, parse
from cassle.provenance import versions
from cassle.runs import MemoryJob, resolve
from cassle.settings import Choice, Site, Training, read_study
from cassle.strategies.base import Memory, Strategy, strategies
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy
from cassle.training.optim import build_optimizer
from cassle.training.precision import resolve_device
from cassle.training.remember import task_end
from cassle.training.step import training_step


class BenchSettings(Options):
    """What is measured: one step of one objective, strategy by strategy, on noise of a data set's size."""

    data_set: str = Field("digits", description="data set whose image size and recipe are taken; none is read")
    objective: str = Field("simclr", description="objective")
    backbone: str | None = Field(None, description="backbone; null: the data set's default")
    strategies: list[Choice] = Field(default_factory=list, description="strategies beside fine-tuning; none: all")
    training: dict[str, Any] = Field(default_factory=dict, description="changes to the recipe, such as batch_size")
    steps: int = Field(5, gt=0, description="steps timed together")
    rounds: int = Field(9, gt=1, description="how often each strategy has its turn, the first turn of each apart")


@dataclass(frozen=True)
class Row:
    """The cost of one strategy; bytes beyond those that the network itself and its optimiser need."""

    strategy: str
    seconds_per_step: float
    quartiles: tuple[float, float]
    times_finetune: float
    saved_bytes: int
    """What a step keeps for its backward pass."""
    held_bytes: int
    """Teacher, predictor and whatever else the strategy holds all along."""
    file_bytes: int
    """Tensors of the memory file."""


class Case:
    """One strategy in the second task of a run, ready to take steps."""

    def __init__(self, label: str, specs: list[dict[str, Any]], kept: list[MemoryJob], device: torch.device) -> None:
        self.label, self.device, spec = label, device, specs[1]
        data_set = Stream(**spec["stream"]).open({})
        training = parse(Training, spec["training"], "training")
        images = noise(2 * max(512, training.batch_size), data_set.image_size).to(device)
        past, own = torch.arange(len(images)).chunk(2)
        views = Views(training.views, data_set.mean, data_set.std)
        self.model = build_model(spec, data_set.image_size, data_set.num_classes or 10).to(device)
        self.memory: Memory = {}
        for job in kept:
            end = task_end(copy.deepcopy(self.model), job.spec, training.batch_size, images, past, views, device)
            self.memory = build_strategy(job.spec, self.model).to(device).remember(end, {})
        self.strategy = build_strategy(spec, self.model)
        self.strategy.recall(self.memory)
        self.strategy.to(device)
        mode = self.strategy.teacher_batchnorm
        self.teacher = Teacher(copy.deepcopy(self.model), mode, self.strategy.teacher_network) if mode else None
        self.optimizer = build_optimizer(training.optimizer, groups(self.model, self.strategy), training.batch_size)
        replay = self.strategy.replay if self.strategy.replays else None
        rows = TaskRows(own, own, training.batch_size, 0, 1, replay).to(device)
        self.loader = DeviceLoader(images, rows)
        self.views, self.batches = views, self._batches()

    def _batches(self) -> Iterator[Batch]:
        for epoch in count():
            yield from self.loader.epoch(epoch)

    def forward(self) -> Tensor:
        """Return the loss of the next batch."""
        losses, _ = training_step(next(self.batches), self.views, self.model, self.strategy, self.teacher)
        return losses.total

    def step(self) -> None:
        """Train on one batch, views included."""
        loss = self.forward()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.model.objective.after_step(self.model.backbone, Moment(0, 0, 1, 1))

    def seconds(self, steps: int) -> float:
        """Return the time of one step, measured over some."""
        wait_for(self.device)
        began = time.perf_counter()
        for _ in range(steps):
            self.step()
        wait_for(self.device)
        return (time.perf_counter() - began) / steps

    def saved_bytes(self) -> int:
        """Return the size of what one step keeps for its backward pass, weights and buffers apart."""
        modules = [self.model, self.strategy, *([self.teacher] if self.teacher else [])]
        known = {t.untyped_storage().data_ptr() for module in modules for t in tensors_of(module)}
        found: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.forward()
        return sum(size for place, size in found.items() if place not in known)

    def row(self, times: list[float], usual: float) -> Row:
        """Return what was measured, against the time of fine-tuning."""
        held = [t for module in (self.strategy, self.teacher) if module is not None for t in tensors_of(module)]
        low, _, high = quantiles(times, n=4, method="inclusive")
        return Row(
            strategy=self.label,
            seconds_per_step=median(times),
            quartiles=(low, high),
            times_finetune=median(times) / usual,
            saved_bytes=self.saved_bytes(),
            held_bytes=sum(t.nbytes for t in held),
            file_bytes=sum(t.nbytes for t in self.memory.values()),
        )


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return the cost of every strategy, measured in turns, with the settings and the machine."""
    torch.set_num_threads(site.execution.threads)
    device = resolve_device(site.execution.device)
    chosen = settings.strategies or [name for name in strategies.names() if name != "finetune"] + ["cassle+er"]
    cases = [case_of(settings, choice, device) for choice in ("finetune", *chosen)]
    times: list[list[float]] = [[] for _ in cases]
    for turn in range(settings.rounds + 1):
        for case, own in zip(cases, times, strict=True):
            seconds = case.seconds(settings.steps)
            if turn > 0:
                own.append(seconds)
    rows = [case.row(own, median(times[0])) for case, own in zip(cases, times, strict=True)]
    machine = {"device": device_name(device), "cores": os.cpu_count(), "system": platform.platform()}
    facts = {**machine, "threads": site.execution.threads, "versions": versions()}
    return {"settings": settings.model_dump(mode="json"), "machine": facts, "rows": [asdict(row) for row in rows]}


def case_of(settings: BenchSettings, choice: Choice, device: torch.device) -> Case:
    """Return a strategy in its second task."""
    words: dict[str, Any] = {"stream": f"{settings.data_set}-data2", "objective": settings.objective}
    if settings.backbone is not None:
        words["backbone"] = settings.backbone
    plan = resolve(read_study({**words, "strategy": choice, "training": settings.training}))
    specs = [job.spec for job in plan.train.values()]
    return Case(plan.cells["strategies"][0], specs, list(plan.memory.values()), device)


def as_text(result: dict[str, Any]) -> str:
    """Return the table of a measurement."""
    head = f"{'strategy':22} {'ms/step':>8} {'quartiles':>15} {'x':>5} {'saved MB':>9} {'held MB':>8} {'file MB':>8}"
    lines = [f"{result['machine']['device']}, {result['machine']['threads']} threads", head]
    for row in result["rows"]:
        low, high = (1e3 * value for value in row["quartiles"])
        sizes = [row[key] / 2**20 for key in ("saved_bytes", "held_bytes", "file_bytes")]
        lines.append(
            f"{row['strategy']:22} {1e3 * row['seconds_per_step']:8.1f} {low:7.1f}-{high:<7.1f} "
            f"{row['times_finetune']:5.2f} {sizes[0]:9.1f} {sizes[1]:8.2f} {sizes[2]:8.2f}"
        )
    return "\n".join(lines)


def noise(number: int, size: int) -> InMemory:
    """Return images of noise."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (number, 3, size, size), generator=draw, dtype=torch.uint8)
    return InMemory(images, torch.arange(number) % 10, torch.zeros(number, dtype=torch.long))


def groups(model: Model, strategy: Strategy) -> list[Group]:
    """Return what is trained, the online classifier apart: it costs the same for all."""
    backbone = Group("backbone", list(model.backbone.parameters()))
    return [backbone, *model.objective.groups(), *strategy.groups()]


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of a module, saved or not."""
    return [*module.parameters(), *module.buffers()]


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """Return the product name of a GPU, or of the processor where the system tells it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
