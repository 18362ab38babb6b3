"""Whole training steps as golden files describe them, taken with the project's own step, optimizers and hooks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.objectives.base import Group, Moment
from cassle.settings.recipe import LARSSettings, SGDSettings
from cassle.strategies.base import Strategy
from cassle.strategies.finetune import Finetune
from cassle.tensors.batch import Batch
from cassle.training.optim import build_optimizer
from cassle.training.step import training_step

from .files import Case, Row, as_dtype
from .forms import FORMS
from .networks import cassle_strategy, fill, modules, tensors, tiny_model

STEPS = 3


@dataclass(frozen=True)
class StepRow(Row):
    """An objective: ``settings`` maps its settings to hyper-parameters of a case, or to functions of them all.

    ``state`` maps golden names of the objective's buffers (queues) to its attributes; a start value that is not among
    the file's tensors is the hyper-parameter of that name.
    """

    name: str = ""
    settings: Mapping[str, str | Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)

    def model(self, hp: dict[str, Any]) -> Model:
        """Return the objective's model for the hyper-parameters of a case."""
        settings = {key: given(hp) if callable(given) else hp[given] for key, given in self.settings.items()}
        return tiny_model(self.name, settings, hp["C"], hp["F"])


@dataclass
class Record:
    """Results of one step, with the names of the golden file."""

    scalars: dict[str, Tensor]
    forward: dict[str, list[Tensor]]
    gradients: dict[str, Tensor | None]
    after: dict[str, Tensor]


class Training:
    """A model, its strategy, teacher and optimizer, all at the start values of a case."""

    def __init__(self, row: StepRow, case: Case, shared: Case, dtype: torch.dtype) -> None:
        self.case, self.shared, self.dtype = case, shared, dtype
        hp = self.hp = case.hp
        self.model = row.model(hp)
        self.strategy, self.teacher = self._strategy(row)
        for module in filter(None, (self.model, self.strategy, self.teacher)):
            module.to(dtype)
        self.modules = modules(self.model, self.strategy, self.teacher)
        self.named = tensors(self.modules)
        start = {**shared.under("init."), **case.under("init.")}
        fill(self.named, start)
        self.state = {name: attrgetter(place) for name, place in row.state.items()}
        fill(
            {name: get(self.model.objective) for name, get in self.state.items()},
            {name: torch.as_tensor(start.get(name, hp.get(name))) for name in self.state},
        )
        self.optimizer = build_optimizer(self._optimizer_settings(), self.groups(), hp["N"])
        self.moves = 0
        self.seen: dict[str, list[Tensor]] = {}
        for place, module in self.modules.items():
            module.register_forward_hook(lambda _, args, output, place=place: self._see(place, output))

    def _strategy(self, row: StepRow) -> tuple[Strategy, Teacher | None]:
        if self.case.meta["strategy"] == "finetune":
            return Finetune(Finetune.Settings(), self.model), None
        form = FORMS[self.case.meta["distillation"]]
        mode = {"train": "batch", "eval": "frozen"}[self.case.meta["teacher_bn"]]
        settings = form.cassle_settings(self.hp, hidden_dim=self.hp["DH"])
        strategy = cassle_strategy(self.model, {**settings, "teacher_batchnorm": mode})
        return strategy, Teacher(row.model(self.hp), strategy.teacher_batchnorm)

    def _optimizer_settings(self) -> LARSSettings | SGDSettings:
        hp = self.hp
        common = {key: hp[key] for key in ("lr", "weight_decay", "momentum")} | {"lr_per": None}
        if not hp["lars"]:
            return SGDSettings(name="sgd", **common)
        lars = {"eta": hp["eta_lars"], "clip": hp["clip_lars"], "exclude_1d": hp["exclude_bias_n_norm"]}
        return LARSSettings(name="lars", **common, **lars)

    def _see(self, place: str, output: Tensor) -> None:
        self.seen.setdefault(place, []).append(output.detach())

    def groups(self) -> list[Group]:
        """Return the trained modules; golden steps have no online classifier."""
        backbone = Group("backbone", list(self.model.backbone.parameters()))
        return [backbone, *self.model.objective.groups(), *self.strategy.groups()]

    def moment(self) -> Moment:
        """Return the position in the task; a step that moves no average does not count for its coefficient."""
        return Moment(epoch=0, step=self.moves, epochs=1, steps=self.hp.get("max_steps", STEPS))

    def step(self, index: int) -> Record:
        """Take one training step, in the order of the trainer, and return its results."""
        objective, hp = self.model.objective, self.hp
        if index == 0:
            objective.begin_epoch(self.moment())
        views = [as_dtype(self.shared[f"view{v}"][index], self.dtype) for v in (1, 2)]
        n = hp["N"]
        batch = Batch(
            index=torch.arange(n),
            images=torch.zeros(n, 3, hp["I"], hp["I"], dtype=torch.uint8),
            labels=self.shared["labels"][index],
            task=1,
            is_replay=torch.zeros(n, dtype=torch.bool),
            generator=torch.Generator(),
        )
        self.seen.clear()
        losses, _ = training_step(batch, lambda batch: views, self.model, self.strategy, self.teacher)
        self.optimizer.zero_grad()
        losses.total.backward()
        objective.after_backward(self.moment())
        gradients = {
            name: tensor.grad if tensor.grad is None else tensor.grad.clone()
            for name, tensor in self.named.items()
            if name.startswith(("student.", "distiller.")) and "running_" not in name
        }
        self.optimizer.step()
        if index > 0 or not self.case.meta["ema_skips_first_step"]:
            objective.after_step(self.model.backbone, self.moment())
            self.moves += 1
        scalars = {"total": losses.total.detach(), "ssl": losses.objective}
        if losses.penalty is not None:
            scalars["distill"] = losses.penalty / hp["distill_lamb"]
        state = {name: get(objective) for name, get in self.state.items()}
        after = {name: tensor.detach().clone() for name, tensor in {**self.named, **state}.items()}
        return Record(scalars, dict(self.seen), gradients, after)
