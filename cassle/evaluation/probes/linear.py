"""The paper's linear evaluation: SGD on features of random crops, drawn anew for every epoch.

Steps, rates and augmentation are those of the original release (`main_linear.py` and its scripts): 100 epochs of SGD
with momentum 0.9 and batch 256, no weight decay, rate x0.1 at 60 % and 80 %, a random resized crop and a flip.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.errors import DivergenceError
from cassle.core.files import fingerprint_tensors
from cassle.core.options import Area, Options, Share
from cassle.core.random import generator
from cassle.data.view_settings import ViewSettings
from cassle.evaluation.base import Evaluation, Probe, probes


def rate(lr: float, epoch: int, epochs: int, drops: list[float]) -> float:
    """Return the learning rate of an epoch: ``lr``, a tenth of it for each share of the epochs that is over.

    >>> [round(rate(1.0, epoch, 100, [0.6, 0.8]), 3) for epoch in (59, 60, 79, 80)]
    [1.0, 0.1, 0.1, 0.01]
    """
    return lr * 0.1 ** sum(epoch >= share * epochs for share in drops)


def sgd_step(
    weight: Tensor, velocity: Tensor, features: Tensor, labels: Tensor, lr: float, momentum: float, decay: float
) -> None:
    """Take one step of SGD on the mean cross-entropy, in place.

    ``weight``, ``velocity`` (C, F + 1), last column the bias; ``features`` (B, F), ``labels`` (B,). With p = softmax of
    the scores and y the labels one-hot, the gradient is (p - y)^T [x, 1] / B; velocity <- momentum velocity + gradient
    + decay weight; weight <- weight - lr velocity.
    """
    rows = F.pad(features, (0, 1), value=1.0)
    error = (rows @ weight.T).softmax(dim=1)
    error[torch.arange(len(labels), device=labels.device), labels] -= 1
    gradient = error.T @ rows / len(rows) + decay * weight
    weight.sub_(velocity.mul_(momentum).add_(gradient), alpha=lr)


class LinearSettings(Options):
    """Settings of linear evaluation."""

    lr: float | None = Field(
        None, gt=0, description="learning rate for 256 images; null takes the one of the network's objective"
    )
    epochs: int = Field(100, gt=0, description="epochs")
    batch_size: int = Field(256, gt=0, description="images of one step, all of them if there are fewer")
    momentum: float = Field(0.9, ge=0, lt=1, description="weight of the running sum of gradients")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to the gradient")
    drops: list[Share] = Field([0.6, 0.8], description="shares of the epochs after which the rate falls to a tenth")
    scale: Area = Field((0.08, 1.0), description="area of the random crops as a share of the image")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")


@probes.register("linear")
class Linear(Probe[LinearSettings]):
    """One linear classifier on augmented features; test images are clean. Resumes after an interruption."""

    Settings = LinearSettings

    def scores(self, data: Evaluation) -> Tensor:
        """Return the logits of the test images."""
        weight = self.fit(data)
        logits: Tensor = data.test.features @ weight[:, :-1].T + weight[:, -1]
        return logits

    def fit(self, data: Evaluation) -> Tensor:
        """Return the (C, F + 1) matrix, last column the bias; `DivergenceError` if it is not finite."""
        settings = self.settings
        train, momentum, decay = data.train, settings.momentum, settings.weight_decay
        batch = min(settings.batch_size, len(train))
        view = ViewSettings(size=data.view_size, scale=settings.scale, flip=settings.flip, jitter=0.0, gray=0.0)
        lr = (data.linear_lr if settings.lr is None else settings.lr) * settings.batch_size / 256
        state = data.state([settings.model_dump(mode="json"), lr, fingerprint_tensors({"rows": train.positions})])
        held = state.load() or first_state(data.num_classes, train.features.shape[1], data.seed)
        weight: Tensor = held["weight"].to(train.features)
        velocity: Tensor = held["velocity"].to(train.features)
        with data.crops(view, train.positions, batch, data.seed) as epoch_of:
            for epoch in range(held["epoch"], settings.epochs):
                now = rate(lr, epoch, settings.epochs, settings.drops)
                for features, labels in epoch_of(epoch):
                    sgd_step(weight, velocity, features, labels, now, momentum, decay)
                if epoch + 1 == settings.epochs or state.due():
                    state.save({"epoch": epoch + 1, "weight": weight, "velocity": velocity})
        if not bool(torch.isfinite(weight).all()):
            raise DivergenceError(f"probe linear: the classifier diverged at learning rate {lr}; give it a lower lr")
        return weight


def first_state(num_classes: int, dim: int, seed: int) -> dict[str, Any]:
    """Return where a fit starts: weights and biases (C, F + 1) uniform within 1 / sqrt(F), and no velocity."""
    drawn = torch.rand(num_classes, dim + 1, generator=generator(seed, "probe", "linear"))
    weight = (2 * drawn - 1) / dim**0.5
    return {"epoch": 0, "weight": weight, "velocity": torch.zeros_like(weight)}
