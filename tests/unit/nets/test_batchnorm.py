"""BatchNorm over processes: torch's own in one process; what two processes see is in tests/unit/test_distributed.py."""

import copy

import pytest
import torch
from torch import nn

from cassle.nets.batchnorm import GlobalBatchNorm, global_moments, synchronize
from cassle.nets.heads import mlp
from cassle.runtime import distributed


@pytest.fixture
def two_processes(monkeypatch):
    """Pretends two processes that have the very same rows."""
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "gather", lambda rows: torch.cat([rows, rows]))
    monkeypatch.setattr(distributed, "all_reduce_sum", lambda value: 2 * value)


def test_in_one_process_every_module_stays_what_it_is():
    module = mlp([4, 8, 2])
    synchronize(module)
    assert [type(layer) for layer in module] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]


def test_with_several_processes_the_very_modules_see_all_of_them(two_processes):
    norm = nn.BatchNorm2d(4)
    module, state = nn.Sequential(nn.Conv2d(3, 4, 1), norm), copy.deepcopy(norm.state_dict())
    synchronize(module, None)
    assert type(norm) is GlobalBatchNorm
    assert module[1] is norm
    assert norm.state_dict().keys() == state.keys()
    nn.BatchNorm2d(4).load_state_dict(norm.state_dict(), strict=True)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3, 2)])
@pytest.mark.parametrize("settings", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}])
def test_processes_with_equal_rows_normalize_as_one_with_its_rows_twice(two_processes, shape, settings):
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    plain = kind(4, **settings).double()
    shared = copy.deepcopy(plain)
    synchronize(shared)
    rows, weights = torch.randn(2, *shape, dtype=torch.float64)
    x, twice = rows.clone().requires_grad_(), torch.cat([rows, rows]).requires_grad_()
    (shared(x) * weights).sum().backward()
    (plain(twice) * torch.cat([weights, weights])).sum().backward()
    torch.testing.assert_close(x.grad, twice.grad[:6])
    for (name, ours), theirs in zip(shared.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)
    for ours, theirs in zip(shared.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(2 * ours.grad, theirs.grad)


def test_the_gradient_is_that_of_finite_differences(two_processes):
    norm = nn.BatchNorm1d(3).double()
    synchronize(norm)
    # the rows of the other process move along, so half of a difference belongs to either
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, 3, dtype=torch.float64)
    (norm(x) * weights).sum().backward()
    moved, small = torch.zeros_like(x), 1e-6
    for place in range(x.numel()):
        step = torch.zeros(x.numel(), dtype=torch.float64).index_fill_(0, torch.tensor([place]), small).view_as(x)
        high, low = ((norm(x.detach() + sign * step) * weights).sum() for sign in (1, -1))
        moved.view(-1)[place] = (high - low) / (2 * small)
    torch.testing.assert_close(x.grad, moved, rtol=1e-6, atol=1e-7)


def test_moments_keep_their_digits_far_from_zero(two_processes):
    draws = torch.randn(64, 3)
    mean, variance = global_moments(1e3 + draws)
    torch.testing.assert_close(variance, draws.var(dim=0, correction=0), rtol=1e-3, atol=0)
    torch.testing.assert_close(mean, 1e3 + draws.mean(dim=0))


def test_trained_statistics_are_used_in_evaluation(two_processes):
    norm = nn.BatchNorm1d(3)
    synchronize(norm)
    norm(3 + torch.randn(20, 3))
    norm.eval()
    x = torch.randn(4, 3)
    expected = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(norm(x), expected)
