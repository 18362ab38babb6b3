"""One linear classifier over all classes on cached features: multinomial logistic regression.

The strength of its L2 penalty is chosen on a held-out part of the training labels, never on the test set.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cassle.evaluation.base import Probe, probes
from cassle.options import Options
from cassle.random import generator

Floats = NDArray[np.float64]


def fit_logistic(
    features: Tensor, labels: Tensor, num_classes: int, penalty: float, start: Floats, iterations: int = 100
) -> Floats:
    """Return the (C, F + 1) matrix, last column the bias, that minimises mean cross-entropy + penalty / 2 |weight|^2.

    ``features`` (N, F), ``labels`` (N,); ``start`` is a first guess of the same shape as the result. By L-BFGS.
    """
    from scipy.optimize import minimize

    rows = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    target = torch.nn.functional.one_hot(labels, num_classes).to(rows)
    shrunk = torch.full((num_classes, rows.shape[1]), penalty, dtype=rows.dtype)
    shrunk[:, -1] = 0

    def loss_and_gradient(flat: Floats) -> tuple[float, Floats]:
        weight = torch.from_numpy(flat).view(num_classes, -1).to(rows)
        scores = (rows @ weight.T).log_softmax(dim=1)
        error = (scores.exp() - target) / len(rows)
        loss = -(scores * target).sum() / len(rows) + (shrunk * weight * weight).sum() / 2
        gradient = error.T @ rows + shrunk * weight
        return float(loss), gradient.double().cpu().numpy().ravel()

    options = {"maxiter": iterations, "gtol": 1e-6, "ftol": 1e-10}
    found = minimize(loss_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(start.shape)


def predict(weight: Floats, features: Tensor) -> Tensor:
    """Return the class (M,) with the largest score for features (M, F)."""
    matrix = torch.from_numpy(weight).to(features)
    return (features @ matrix[:, :-1].T + matrix[:, -1]).argmax(dim=1)


class LinearSettings(Options):
    """Settings of the linear probe on cached features."""

    penalties: list[float] = Field(
        default=[1e-5, 1e-4, 1e-3, 1e-2],
        min_length=1,
        description="L2 strengths to choose from, relative to a mean loss over images of standardised features",
    )
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the training images that the choice is made on")
    iterations: int = Field(100, gt=0, description="largest number of L-BFGS iterations")


@probes.register("linear_cached")
class LinearCached(Probe):
    """Logistic regression on features standardised with the training images' statistics."""

    Settings = LinearSettings

    def predict(
        self, train_features: Tensor, train_labels: Tensor, test_features: Tensor, num_classes: int, seed: int
    ) -> Tensor:
        """Return the predictions under the penalty that suits the held-out images best."""
        mean, std = train_features.mean(dim=0), train_features.std(dim=0).clamp(min=1e-6)
        train, test, labels = (train_features - mean) / std, (test_features - mean) / std, train_labels
        order = torch.randperm(len(train), generator=generator(seed, "held-out")).to(train.device)
        cut = max(1, round(self.settings.held_out * len(train)))
        held, kept = order[:cut], order[cut:]
        weight = np.zeros((num_classes, train.shape[1] + 1))
        best, best_accuracy = 0.0, -1.0
        steps = self.settings.iterations
        for penalty in sorted(self.settings.penalties, reverse=True):
            weight = fit_logistic(train[kept], labels[kept], num_classes, penalty, weight, steps)
            accuracy = float((predict(weight, train[held]) == labels[held]).float().mean())
            if accuracy > best_accuracy:
                best, best_accuracy = penalty, accuracy
        return predict(fit_logistic(train, labels, num_classes, best, weight, steps), test)
