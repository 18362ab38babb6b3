"""The measured training step: synthetic images in memory, everything else as in a training job."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cassle.bench.workload import pictures
from cassle.data.base import Dataset, InMemory
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.views import Views
from cassle.models.teacher import Teacher
from cassle.plan import Plan
from cassle.strategies.base import Memory
from cassle.tensors.batch import Batch
from cassle.training.build import build_model, build_strategy
from cassle.training.learner import Learner
from cassle.training.memory import task_end
from cassle.training.precision import HALF
from cassle.training.state import Position


class MeasuredStep:
    """Each call trains on one batch of a second task, as the training job does.

    The images of the second task are those of the first, too, so that a strategy has remembered some.
    """

    def __init__(self, plan: Plan, facts: Dataset, least: int, device: torch.device, precision: str) -> None:
        """``plan``: that of one run; ``facts``: its dataset; ``least``: images in memory, more if a batch has more."""
        spec = [job.spec for job in plan.train.values()][1]
        training, side = spec.training, facts.image_size
        number = max(least, training.batch_size)
        positions, nothing = torch.arange(number), torch.zeros(number, dtype=torch.long)
        images = InMemory(pictures(number, side, side), nothing, nothing)
        views = Views(training.views, facts.mean, facts.std)
        model = build_model(spec, side, facts.num_classes or 100)
        strategy = build_strategy(spec, model)
        self.memory: Memory = {}
        for job in plan.memory.values():
            trained, keeper = copy.deepcopy(model).to(device), build_strategy(job.spec, model).to(device)
            end = task_end(trained, job.spec, training.batch_size, images.to(device), positions, views, device)
            self.memory = keeper.build_memory(end, {})
            strategy.load_memory(self.memory)
        teacher = None
        if strategy.teacher_batchnorm is not None:
            teacher = Teacher(copy.deepcopy(model), strategy.teacher_batchnorm, strategy.teacher_network)
        replay = strategy.replay if strategy.replays else None
        rows = TaskRows(positions, positions, training.batch_size, 0, 1, replay)
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

    def forward(self) -> Tensor:
        """Return the loss of the next batch."""
        with self.mixed():
            return self.learner.training_step(next(self.batches), 0)

    def __call__(self) -> None:
        """Train on the next batch."""
        loss = self.forward()
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

    def saved_bytes(self) -> int:
        """Return the size of what one step keeps for its backward pass, weights and buffers apart."""
        known = {tensor.untyped_storage().data_ptr() for tensor in tensors_of(self.learner)}
        found: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.forward()
        return sum(size for place, size in found.items() if place not in known)

    def held_bytes(self) -> int:
        """Return the size of teacher, predictor and whatever else the strategy holds all along."""
        beside = filter(None, (self.learner.strategy, self.learner.teacher))
        return sum(tensor.nbytes for module in beside for tensor in tensors_of(module))


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of a module, saved or not."""
    return [*module.parameters(), *module.buffers()]
