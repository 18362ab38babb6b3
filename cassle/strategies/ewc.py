"""EWC: weights that mattered to past tasks are held by springs (Kirkpatrick et al. 2017, 1612.00796).

L = L_SSL + lambda / 2 * sum over weights k of F_k (theta_k - theta*_k)^2,   Eq. 3 of the paper

F is the diagonal of the Fisher information of the self-supervised loss over backbone and projector. That loss belongs
to a batch and not to an image, so that its size, the mode of BatchNorm and the views are part of the definition:
F_k = B * mean over batches of (d L_SSL / d theta_k)^2, one pass over the task in full batches of B images, with the
views of the training and, unless set otherwise, its batch size and BatchNorm on the batch. The factor B turns the
square of a batch's mean gradient into that of one image, as far as images are independent, and makes lambda mean the
same for every B.

After several tasks, ``accumulated`` has one spring per task, each at that task's weights; as a sum of squares is one
square, the memory holds sum F_i and the center sum F_i theta*_i / sum F_i (the constant that is left out has no
gradient). ``online`` has one spring at the last weights, F = gamma F + F_new (Schwarz et al. 2018, 1805.06370).

Gradient descent with momentum m and learning rate r bears a spring up to a stiffness of 2 (1 + m) / r; beyond it every
step throws the weight further out. BatchNorm's weights, which LARS does not rescale, pass it with the recipes of Barlow
Twins and VICReg. So lambda F_k is cut to ``max_stiffness``, which holds a weight as firmly as a training can: 1 is safe
up to a learning rate of 3.8 with m = 0.9. This is not in the paper.

Default: lambda 20, since lambda / 2 = 10 and gamma 1 are what the release of Buzzega et al. (2004.07211) has for EWC on
Split CIFAR-10. The paper knows no self-supervised loss; lambda wants tuning per objective.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from cassle.core.errors import CheckpointError
from cassle.core.options import Options
from cassle.models.model import Model
from cassle.settings.recipe import Training
from cassle.strategies.base import Memory, MemoryCost, Strategy, TaskEnd, strategies
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch


def ewc_penalty(weights: Tensor, center: Tensor, fisher: Tensor, weight: float) -> Tensor:
    """Return weight / 2 * sum of fisher * (weights - center)^2, (P,) each."""
    return weight / 2 * (fisher * (weights - center).square()).sum()


def joined(old: Tensor, old_center: Tensor, new: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return information and center (P,) of the one quadratic that equals the sum of two but for a constant.

    Where neither has any information the center is ``weights``, that of the new one.
    """
    total = old + new
    known = total > 0
    center = (old * old_center + new * weights) / torch.where(known, total, 1.0)
    return total, torch.where(known, center, weights)


def squared_gradients(loss: Callable[[Batch], Tensor], batches: Iterable[Batch], parameters: list[Tensor]) -> Tensor:
    """Return the mean over batches of B * (d loss / d parameters)^2, flat (P,); B is the rows of each batch."""
    total, count = torch.zeros_like(flat(parameters)), 0
    for batch in batches:
        found = torch.autograd.grad(loss(batch), parameters, materialize_grads=True, allow_unused=True)
        total += len(batch.index) * flat(found).square()
        count += 1
    return total / count


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Return all entries of tensors, one after the other, as one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def protected(model: Model) -> list[Tensor]:
    """Return the trained parameters of backbone and projector."""
    parameters = [*model.backbone.parameters(), *model.objective.projector.parameters()]
    return [parameter for parameter in parameters if parameter.requires_grad]


class EWCSettings(Options):
    """Settings of EWC."""

    weight: float = Field(20.0, ge=0, description="lambda, stiffness of all springs")
    variant: Literal["accumulated", "online"] = Field(
        "accumulated", description="one spring per past task, or one at the last weights whose past information fades"
    )
    gamma: float = Field(1.0, ge=0, le=1, description="online: share of the past information kept at a new task")
    fisher_batch_size: int | None = Field(None, ge=2, description="images of a batch; null: as in training")
    fisher_batches: int | None = Field(None, ge=1, description="batches looked at; null: one pass over the task")
    fisher_batchnorm: Literal["batch", "frozen"] = Field(
        "batch", description="statistics BatchNorm normalizes with: the batch's, as in training, or its saved ones"
    )

    max_stiffness: float | None = Field(
        1.0,
        gt=0,
        description="lambda times the information of a weight is cut to this, so that SGD bears it; null: not",
    )

    @model_validator(mode="after")
    def _gamma_is_used(self) -> EWCSettings:
        if self.gamma != 1 and self.variant != "online":
            raise ValueError(f"gamma {self.gamma} fades past information in variant: online only")
        return self


@strategies.register("ewc")
class EWC(Strategy[EWCSettings]):
    """Memory: ``fisher`` and ``center`` (P,), over the trained parameters of backbone and projector in their order."""

    title = "EWC"
    Settings = EWCSettings
    keeps_memory = True

    fisher: Tensor
    center: Tensor

    def __init__(self, settings: EWCSettings, model: Model) -> None:
        super().__init__(settings, model)
        self.size = sum(parameter.numel() for parameter in protected(model))
        for name in ("fisher", "center"):
            self.register_buffer(name, torch.empty(0), persistent=False)

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return a reason if batches are too small for the objective's loss."""
        reason = model.objective.batch_incompatibility(self.settings.fisher_batch_size or training.batch_size)
        return None if reason is None else f"fisher_batch_size {self.settings.fisher_batch_size}: {reason}"

    def build_memory(self, end: TaskEnd, previous: Memory) -> Memory:
        """Return the information after a task and the rest positions of its springs."""
        new = self.information(end)
        weights = flat(protected(end.model)).detach().cpu()
        if not previous:
            return {"fisher": new, "center": weights}
        if self.settings.variant == "online":
            return {"fisher": self.settings.gamma * previous["fisher"] + new, "center": weights}
        fisher, center = joined(previous["fisher"], previous["center"], new, weights)
        return {"fisher": fisher, "center": center}

    def information(self, end: TaskEnd) -> Tensor:
        """Return the diagonal (P,) of a task's Fisher information; the model does not change."""
        hp, model = self.settings, copy.deepcopy(end.model)
        model.train(hp.fisher_batchnorm == "batch")

        def loss(batch: Batch) -> Tensor:
            return model.objective.loss(model(end.draw_views(batch)), batch)

        batches = islice(end.batches(hp.fisher_batch_size or end.batch_size), hp.fisher_batches)
        return squared_gradients(loss, batches, protected(model)).cpu()

    def memory_cost(self, images: int, batch_size: int) -> MemoryCost:
        """Return the steps of `information`, and two numbers per weight."""
        size = self.settings.fisher_batch_size or batch_size
        batches = min(images // size, self.settings.fisher_batches or images)
        return MemoryCost(steps=batches * size, bytes=2 * 4 * self.size)

    def load_memory(self, memory: Memory) -> None:
        """Load the springs, with the stiffness cut to ``max_stiffness``."""
        if len(memory["fisher"]) != self.size:
            raise CheckpointError(
                f"the memory of EWC holds {len(memory['fisher'])} weights, this network has {self.size} in backbone "
                "and projector; make it again from this run's checkpoint"
            )
        limit, weight = self.settings.max_stiffness, self.settings.weight
        self.fisher, self.center = memory["fisher"], memory["center"]
        if limit is not None and weight > 0:
            self.fisher = self.fisher.clamp(max=limit / weight)

    def penalty(self, step: Step) -> Tensor | None:
        """Return the energy of the springs; None in the first task."""
        if len(self.fisher) == 0:
            return None
        return ewc_penalty(flat(protected(step.model)), self.center, self.fisher, self.settings.weight)
