"""One linear classifier over all classes on cached features: multinomial logistic regression.

The strength of its L2 penalty is chosen on a held-out part of the training labels, never on the test set.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.evaluation.base import probes
from cassle.random import generator

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
"""L2 strengths tried, relative to a mean loss over images of standardised features."""
HELD_OUT = 0.1
ITERATIONS = 200


def fit_logistic(features: Tensor, labels: Tensor, num_classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weight (C, F) and bias (C,) that minimise mean cross-entropy + penalty / 2 |weight|^2, by L-BFGS."""
    weight = torch.zeros(num_classes, features.shape[1], dtype=features.dtype, device=features.device)
    bias = torch.zeros(num_classes, dtype=features.dtype, device=features.device)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=ITERATIONS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(features, weight, bias), labels) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return weight.detach(), bias.detach()


@probes.register("linear_cached")
def linear_cached(train: Tensor, labels: Tensor, test: Tensor, num_classes: int, seed: int) -> Tensor:
    """Return predicted labels; features are standardised with the training features' statistics."""
    mean, std = train.mean(dim=0), train.std(dim=0).clamp(min=1e-6)
    train, test = (train - mean) / std, (test - mean) / std
    order = torch.randperm(len(train), generator=generator(seed, "held-out")).to(train.device)
    cut = max(1, round(HELD_OUT * len(train)))
    held, kept = order[:cut], order[cut:]

    def accuracy(penalty: float) -> float:
        weight, bias = fit_logistic(train[kept], labels[kept], num_classes, penalty)
        return float((F.linear(train[held], weight, bias).argmax(1) == labels[held]).float().mean())

    best = max(PENALTIES, key=accuracy)
    weight, bias = fit_logistic(train, labels, num_classes, best)
    return F.linear(test, weight, bias).argmax(dim=1)
