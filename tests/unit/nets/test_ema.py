"""Momentum networks: the average in closed form, and its coefficient over a task."""

import math

import pytest
import torch
from torch import nn

from cassle.nets.ema import ema_update, momentum_tau


def tensors(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


@pytest.mark.parametrize("tau", [0.0, 0.25, 0.5, 0.9, 0.996, 1.0])
def test_an_update_is_tau_times_the_average_plus_the_rest_times_the_online_value(tau):
    averages, online = tensors([1.0, -2.0], [[3.0]]), tensors([5.0, 4.0], [[-1.0]])
    expected = [tau * a + (1 - tau) * o for a, o in zip(averages, online, strict=True)]
    ema_update(averages, online, tau)
    for found, value in zip(averages, expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-14, atol=1e-14)


def test_many_updates_towards_one_value_are_a_geometric_series():
    averages, tau, steps = tensors(2.0), 0.9, 30
    for _ in range(steps):
        ema_update(averages, tensors(-1.0), tau)
    # a_k - o = tau^k (a_0 - o), since each update shrinks the distance by tau.
    assert averages[0].item() == pytest.approx(-1 + tau**steps * 3, rel=1e-12)


def test_a_coefficient_of_one_keeps_every_bit_and_one_of_zero_copies_every_bit():
    draw = torch.Generator().manual_seed(0)
    start, online = (torch.randn(1000, generator=draw) for _ in range(2))
    kept, copied = start.clone(), start.clone()
    ema_update([kept], [online], 1.0)
    ema_update([copied], [online], 0.0)
    assert torch.equal(kept, start)
    assert torch.equal(copied, online)


def test_an_update_works_in_place_on_parameters_and_leaves_the_online_ones():
    average, online = nn.Linear(3, 2), nn.Linear(3, 2)
    places = [p.data_ptr() for p in average.parameters()]
    before = [p.detach().clone() for p in online.parameters()]
    ema_update(average.parameters(), online.parameters(), 0.5)
    assert [p.data_ptr() for p in average.parameters()] == places
    assert all(torch.equal(p, b) for p, b in zip(online.parameters(), before, strict=True))


def test_an_update_is_no_part_of_a_gradient():
    average, online = nn.Linear(3, 2).requires_grad_(False), nn.Linear(3, 2)
    ema_update(average.parameters(), online.parameters(), 0.5)
    assert all(p.grad_fn is None and not p.requires_grad for p in average.parameters())
    assert all(p.grad is None for p in online.parameters())


@pytest.mark.parametrize(("base", "final"), [(0.99, 1.0), (0.996, 1.0), (0.9, 0.999), (0.0, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_the_coefficient_goes_from_base_to_final(base, final, steps):
    assert momentum_tau(base, final, 0, steps) == pytest.approx(base, rel=1e-15)
    assert momentum_tau(base, final, steps, steps) == final


def test_the_coefficient_is_half_way_at_half_time():
    assert momentum_tau(0.9, 1.0, 50, 100) == pytest.approx(0.95, rel=1e-15)


def test_the_coefficient_follows_half_a_cosine():
    for step in range(11):
        # BYOL, Section 3.3: 1 - (1 - base) (cos(pi k / K) + 1) / 2, which is 1 - (1 - base) cos^2(pi k / 2K).
        expected = 1 - 0.01 * math.cos(math.pi * step / 20) ** 2
        assert momentum_tau(0.99, 1.0, step, 10) == pytest.approx(expected, rel=1e-14)


def test_the_coefficient_never_falls():
    taus = [momentum_tau(0.99, 1.0, step, 100) for step in range(101)]
    assert taus == sorted(taus)
    assert len(set(taus)) == len(taus)
