"""Distillation by mean squared error, in closed form."""

import pytest
import torch

from cassle.distillations.mse import MeanSquaredError, mse_distillation_loss


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 4, dtype=torch.float64, generator=draw) for _ in range(2)]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (2.0, 2.0), (1.0, 3.0)])
def test_a_shift_of_every_entry_costs_its_square_averaged_over_views(first, second):
    one, other = drawn()
    close(mse_distillation_loss([one, other], [one + first, other - second]), (first**2 + second**2) / 2)


def test_one_wrong_entry_is_spread_over_all_entries():
    p = torch.zeros(6, 4, dtype=torch.float64)
    frozen = p.clone()
    frozen[2, 3] = 6
    close(mse_distillation_loss([p], [frozen]), 36 / 24)


def test_length_counts_as_neither_side_is_normalized():
    p, frozen = drawn(), drawn(seed=1)
    doubled = mse_distillation_loss([2 * view for view in p], [2 * view for view in frozen])
    close(doubled, 4 * mse_distillation_loss(p, frozen))


def test_the_papers_weight_is_25():
    assert MeanSquaredError.default_weight == 25
