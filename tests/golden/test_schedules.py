"""Learning rates per epoch, the momentum coefficient per step, and the average it drives."""

from types import SimpleNamespace

import pytest

from cassle.nets.ema import ema_update, momentum_tau
from cassle.settings.recipe import WarmupCosineSettings
from cassle.training.optim import set_learning_rates, warmup_cosine

from .files import Row, as_dtype
from .precision import FLOAT64


@pytest.mark.golden(Row("lr_warmup_cosine"))
def test_every_group_has_the_reference_rate_in_every_epoch(case):
    hp = case.hp
    names = ("warmup_epochs", "warmup_start_lr", "min_lr")
    settings = WarmupCosineSettings(name="warmup_cosine", **{name: hp[name] for name in names})
    groups = [{"base_lr": base, "scheduled": True} for base in hp["base_lrs"]]
    rates = []
    for epoch in range(hp["max_epochs"] + 1):
        set_learning_rates(SimpleNamespace(param_groups=groups), settings, epoch, hp["max_epochs"])
        rates.append([group["lr"] for group in groups])
    FLOAT64.equal(rates, case["lr"], "learning rates")


@pytest.mark.golden(Row("lr_warmup_cosine"))
def test_warmup_cosine_equals_the_reference(case):
    hp = case.hp
    rest = (hp["warmup_epochs"], hp["max_epochs"], hp["warmup_start_lr"], hp["min_lr"])
    epochs = range(hp["max_epochs"] + 1)
    rates = [[warmup_cosine(epoch, base, *rest) for base in hp["base_lrs"]] for epoch in epochs]
    FLOAT64.equal(rates, case["lr"], "learning rates")


@pytest.mark.golden(Row("momentum_tau"))
def test_tau_equals_the_reference_at_every_step(case):
    hp = case.hp
    key = "tau_used" if "tau_used" in case else "tau"
    expected = case[key]
    found = [momentum_tau(hp["base_tau"], hp["final_tau"], step, hp["max_steps"]) for step in range(len(expected))]
    FLOAT64.equal(found, expected, key)


@pytest.mark.golden(Row("momentum_tau", ("momentum_init",)))
def test_average_follows_the_online_weights_as_the_reference(case, precision):
    hp = case.hp
    average = as_dtype(case["momentum_init"], precision.dtype)
    for step in range(hp["n_rounds"]):
        tau = momentum_tau(hp["base_tau"], hp["final_tau"], step, hp["max_steps"])
        ema_update([average], [as_dtype(case[f"online{step}"], precision.dtype)], tau)
        precision.equal(average, case[f"momentum_after{step}"], f"average after step {step}")
