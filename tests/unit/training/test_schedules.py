"""Schedules: the rate of every epoch, and which groups follow it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from torch import nn

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.settings.recipe import ConstantSettings, CosineSettings, ScheduleSettings, WarmupCosineSettings
from cassle.training.optim import learning_rate, set_learning_rates, warmup_cosine

rates = st.floats(1e-4, 10)


class Holder(BaseModel):
    schedule: ScheduleSettings


@given(rates, st.integers(0, 20), st.integers(1, 50), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_stays_between_its_ends_and_never_rises_after_the_warm_up(base, warmup, after, start, end):
    epochs = warmup + after
    rate = [warmup_cosine(epoch, base, warmup, epochs, start * base, end * base) for epoch in range(epochs + 1)]
    assert all(min(start, end) * base - 1e-12 <= value <= base * (1 + 1e-12) for value in rate)
    assert all(a >= b - 1e-12 for a, b in zip(rate[warmup:], rate[warmup + 1 :], strict=False))
    assert rate[warmup] == pytest.approx(base)
    assert rate[-1] == pytest.approx(end * base)


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [(0, [1.0, 0.75]), (1, [0.1, 1.0]), (2, [0.1, 1.0]), (3, [0.1, 0.55]), (9, [0.1, 0.2125])],
)
def test_short_trainings_and_warm_ups_have_a_rate_in_every_epoch(warmup, expected):
    rate = [warmup_cosine(epoch, 1.0, warmup, 3, 0.1, 0.0) for epoch in range(2)]
    assert rate == pytest.approx(expected)


def test_cosine_starts_at_the_base_rate_and_constant_stays_there():
    assert learning_rate(CosineSettings(min_lr=0.2), 1.0, 0, 10) == 1.0
    assert learning_rate(CosineSettings(min_lr=0.2), 1.0, 5, 10) == pytest.approx(0.6)
    assert learning_rate(CosineSettings(min_lr=0.2), 1.0, 10, 10) == pytest.approx(0.2)
    assert [learning_rate(ConstantSettings(), 0.3, epoch, 10) for epoch in (0, 9)] == [0.3, 0.3]


def test_groups_follow_the_schedule_from_their_own_base_rate_unless_they_are_unscheduled():
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0, "base_lr": base, "scheduled": scheduled}
        for base, scheduled in [(1.0, True), (0.5, True), (0.4, False)]
    ]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    settings = WarmupCosineSettings(warmup_epochs=2, warmup_start_lr=0.1)

    def rates_in(epoch):
        set_learning_rates(optimizer, settings, epoch, 4)
        return [group["lr"] for group in optimizer.param_groups]

    assert rates_in(3) == pytest.approx([0.5, 0.25, 0.4])
    assert rates_in(0) == pytest.approx([0.1, 0.1, 0.4])
    assert rates_in(1) == pytest.approx([1.0, 0.5, 0.4])


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"name": "cosine", "warmup_epochs": 10}, "unknown key 'schedule.warmup_epochs': another kind has it"),
        ({"name": "warmup_cosine", "warmup_epochs": -1}, "greater than or equal to 0"),
        ({"name": "step"}, "'warmup_cosine'"),
    ],
)
def test_settings_that_a_schedule_does_not_have_are_refused(given_settings, message):
    with pytest.raises(SettingsError, match=message):
        parse(Holder, {"schedule": given_settings}, "recipe")
