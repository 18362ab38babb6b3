"""LARS over three steps, with and without clipping and exclusion; zero weights and zero gradients among them."""

import pytest
import torch
from torch import nn

from cassle.training.optim import LARS

from .files import Row, as_dtype


@pytest.mark.golden(Row("lars"))
def test_lars_takes_the_steps_of_the_reference(case, precision):
    hp, dtype = case.hp, precision.dtype
    weights = [
        [nn.Parameter(as_dtype(case[f"p{group}_{i}"], dtype)) for i in range(count)]
        for group, count in enumerate(hp["n_params"])
    ]
    groups = [
        {"params": params, "lr": lr, "weight_decay": decay}
        for params, lr, decay in zip(weights, hp["lr"], hp["weight_decay"], strict=True)
    ]
    optimizer = LARS(
        groups,
        lr=1.0,
        momentum=hp["momentum"],
        eta=hp["eta"],
        clip=hp["clip"],
        exclude_1d=hp["exclude_bias_n_norm"],
    )
    for step in range(hp["steps"]):
        for group, params in enumerate(weights):
            for i, weight in enumerate(params):
                weight.grad = as_dtype(case[f"g{step}_{group}_{i}"], dtype)
        optimizer.step()
        for group, params in enumerate(weights):
            for i, weight in enumerate(params):
                name = f"{step}_{group}_{i}"
                precision.equal(weight, case[f"after{name}"], f"parameter {i} of group {group} after step {step}")
                assert torch.equal(weight.grad, as_dtype(case[f"g{name}"], dtype)), "the gradient was changed"
