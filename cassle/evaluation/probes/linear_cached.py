"""One linear classifier over all classes on cached features: multinomial logistic regression.

The strength of its L2 penalty is chosen on a held-out part of the training labels, never on the test set.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from cassle.core.options import Options
from cassle.core.random import generator
from cassle.evaluation.base import Evaluation, Probe, probes

ELEMENTS = 2**24
"""Scores computed at a time: 64 MiB in single precision."""


def fit_logistic(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalties: Sequence[float],
    start: Tensor | None = None,
    iterations: int = 100,
    tolerance: float = 1e-5,
) -> Tensor:
    """Return per penalty the (C, F + 1) matrix, last column the bias: (P, C, F + 1) for features (N, F), labels (N,).

    Each minimizes mean cross-entropy + penalty / 2 |weights|^2, the bias left out. All are fitted at once, from
    ``start`` (P, C, F + 1) or zero, until no entry of a gradient exceeds ``tolerance`` or for so many iterations.

    The Hessian is at most B = 1/2 X^T X / N + penalty per class (Böhning 1992, Annals of the Institute of Statistical
    Mathematics 44), so w - B^-1 gradient(w) needs no line search. Nesterov's momentum makes it fast; it starts again
    where it points uphill (O'Donoghue & Candès 2015, 1204.3982).
    """
    rows = F.pad(features, (0, 1), value=1.0)
    strength = rows.new_tensor(penalties).view(-1, 1, 1)
    shrunk = strength * F.pad(rows.new_ones(1, 1, features.shape[1]), (0, 1))
    inverse = _inverse_of_bound(rows, shrunk)
    weight = rows.new_zeros(len(penalties), num_classes, rows.shape[1]) if start is None else start.clone()
    ahead, momentum = weight, rows.new_ones(len(penalties), 1, 1)
    for _ in range(iterations):
        gradient = cross_entropy_gradient(ahead, rows, labels) + shrunk * ahead
        if bool(gradient.abs().max() <= tolerance):
            break
        new = ahead - gradient @ inverse
        uphill = (gradient * (new - weight)).sum(dim=(1, 2), keepdim=True) > 0
        grown = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = torch.where(uphill, new, new + (momentum - 1) / grown * (new - weight))
        momentum = torch.where(uphill, 1.0, grown)
        weight = new
    return weight


def _inverse_of_bound(rows: Tensor, shrunk: Tensor) -> Tensor:
    """Return B^-1 per penalty, (P, F + 1, F + 1); a little is added so that constant features do no harm."""
    bound = rows.T @ rows / (2 * len(rows)) + torch.diag_embed(shrunk.squeeze(1))
    slack = 1e-6 * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    inverse: Tensor = torch.linalg.inv((bound + slack).double())
    return inverse.to(rows)


def cross_entropy_gradient(weight: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient (P, C, F + 1) of the mean cross-entropy of rows (N, F + 1) under P classifiers.

    Works through the rows in parts of bounded memory. Scores have the images last, as a softmax over few classes that
    lie side by side is slow on a CPU.
    """
    models, classes, _ = weight.shape
    total = torch.zeros_like(weight)
    for part in torch.split(torch.arange(len(rows), device=rows.device), max(1, ELEMENTS // (models * classes))):
        own = rows[part]
        error = (weight.flatten(0, 1) @ own.T).view(models, classes, -1).softmax(dim=1)
        error[:, labels[part], torch.arange(len(part), device=rows.device)] -= 1
        total += (error.flatten(0, 1) @ own).view_as(weight)
    return total / len(rows)


def scores_of(weight: Tensor, features: Tensor) -> Tensor:
    """Return the scores (..., M, C) of features (M, F) under classifiers (..., C, F + 1)."""
    return features @ weight[..., :-1].transpose(-1, -2) + weight[..., None, :, -1]


class LinearCachedSettings(Options):
    """Settings of the linear probe on cached features."""

    penalties: list[PositiveFloat] = Field(
        default=[1e-5, 1e-4, 1e-3, 1e-2],
        min_length=1,
        description="L2 strengths to choose from, relative to a mean loss over images of standardized features",
    )
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the training images that the choice is made on")
    iterations: int = Field(100, gt=0, description="largest number of iterations of a fit")


@probes.register("linear_cached")
class LinearCached(Probe[LinearCachedSettings]):
    """Logistic regression on features standardized with the training images' statistics."""

    title = "linear (cached features)"
    Settings = LinearCachedSettings

    def scores(self, data: Evaluation) -> Tensor:
        """Return the scores under the penalty that suits the held-out images best, the strongest of equals."""
        features, labels = data.train.features, data.train.labels
        mean, std = features.mean(dim=0), features.std(dim=0, correction=0).clamp(min=1e-6)
        train, test = (features - mean) / std, (data.test.features - mean) / std
        order = torch.randperm(len(train), generator=generator(data.seed, "held-out")).to(train.device)
        cut = max(1, round(self.settings.held_out * len(train)))
        held, kept = order[:cut], order[cut:]
        penalties = sorted(self.settings.penalties, reverse=True)
        steps = self.settings.iterations
        fitted = fit_logistic(train[kept], labels[kept], data.num_classes, penalties, iterations=steps)
        right = (scores_of(fitted, train[held]).argmax(dim=2) == labels[held]).sum(dim=1).tolist()
        best = right.index(max(right))
        start = fitted[best : best + 1]
        (final,) = fit_logistic(train, labels, data.num_classes, [penalties[best]], start, steps)
        return scores_of(final, test)
