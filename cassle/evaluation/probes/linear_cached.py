"""One linear classifier over all classes on cached features: multinomial logistic regression.

The strength of its L2 penalty is chosen on a held-out part of the training labels, never on the test set.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cassle.evaluation.base import probes
from cassle.random import generator

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
"""L2 strengths tried, relative to a mean loss over images of standardised features."""
HELD_OUT = 0.1
ITERATIONS = 100
Floats = NDArray[np.float64]


def fit_logistic(features: Tensor, labels: Tensor, num_classes: int, penalty: float, start: Floats) -> Floats:
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
        return float(loss), gradient.double().numpy().ravel()

    options = {"maxiter": ITERATIONS, "gtol": 1e-6, "ftol": 1e-10}
    found = minimize(loss_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(start.shape)


def predict(weight: Floats, features: Tensor) -> Tensor:
    """Return the class (M,) with the largest score for features (M, F)."""
    matrix = torch.from_numpy(weight).to(features)
    return (features @ matrix[:, :-1].T + matrix[:, -1]).argmax(dim=1)


@probes.register("linear_cached")
def linear_cached(train: Tensor, labels: Tensor, test: Tensor, num_classes: int, seed: int) -> Tensor:
    """Return predicted labels; features are standardised with the training features' statistics."""
    mean, std = train.mean(dim=0), train.std(dim=0).clamp(min=1e-6)
    train, test = (train - mean) / std, (test - mean) / std
    order = torch.randperm(len(train), generator=generator(seed, "held-out"))
    cut = max(1, round(HELD_OUT * len(train)))
    held, kept = order[:cut], order[cut:]
    weight = np.zeros((num_classes, train.shape[1] + 1))
    best, best_accuracy = PENALTIES[-1], -1.0
    for penalty in sorted(PENALTIES, reverse=True):
        weight = fit_logistic(train[kept], labels[kept], num_classes, penalty, weight)
        accuracy = float((predict(weight, train[held]) == labels[held]).float().mean())
        if accuracy > best_accuracy:
            best, best_accuracy = penalty, accuracy
    return predict(fit_logistic(train, labels, num_classes, best, weight), test)
