"""Whitened distillation: W-MSE between the two models, in closed form."""

import pytest
import torch

from cassle.distillations.whitened import Whitened, whitened_distillation_loss
from cassle.objectives.simclr import SimCLR
from cassle.objectives.wmse import WMSE, mse_of_directions, whiten
from cassle.strategies.cassle import Cassle

DIM, ROWS = 4, 12


def drawn(views=2, seed=0, rows=ROWS):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, DIM, dtype=torch.float64, generator=draw) for _ in range(views)]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_a_copy_costs_nothing_and_its_opposite_the_most():
    z = drawn()
    close(whitened_distillation_loss(z, z, 0.0), 0)
    close(whitened_distillation_loss([-view for view in z], z, 0.0), 4)


def test_what_whitening_takes_away_is_not_distilled():
    z, lower = drawn(), drawn(1, 1, DIM)[0].tril()
    lower.diagonal().abs_().add_(0.5)
    close(whitened_distillation_loss([view @ lower.T + 100 for view in z], z, 0.0), 0)


def test_a_common_direction_of_all_projections_hides_no_error():
    z, far = drawn(), torch.full((DIM,), 1e3, dtype=torch.float64)
    wrong = [view.roll(1, 0) for view in z]
    plain = mse_of_directions(wrong[0] + far, z[0] + far)
    assert plain < 1e-5
    shifted = whitened_distillation_loss([view + far for view in wrong], [view + far for view in z], 0.0)
    torch.testing.assert_close(shifted, whitened_distillation_loss(wrong, z, 0.0), rtol=1e-6, atol=1e-6)
    assert shifted > 1


def test_views_are_whitened_and_compared_each_by_itself():
    p, frozen = drawn(), drawn(seed=1)
    each = [mse_of_directions(whiten(a, 0.1), whiten(b, 0.1)) for a, b in zip(p, frozen, strict=True)]
    close(whitened_distillation_loss(p, frozen, 0.1), sum(each) / 2)
    assert whitened_distillation_loss(p, p, 0.1) < whitened_distillation_loss(p, p[::-1], 0.1)


def test_the_order_of_images_does_not_matter():
    p, frozen, order = drawn(), drawn(seed=1), torch.randperm(ROWS)
    permuted = whitened_distillation_loss([v[order] for v in p], [v[order] for v in frozen], 0.0)
    close(permuted, whitened_distillation_loss(p, frozen, 0.0))


@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_the_form_uses_its_share_of_the_identity(eps):
    form = Whitened(Whitened.Settings(depth=0, eps=eps), DIM, None)
    p, frozen = drawn(), drawn(seed=1)
    assert form.loss(p, frozen, None) == whitened_distillation_loss(p, frozen, eps)


def test_a_batch_no_larger_than_a_projection_needs_a_share_of_the_identity():
    p, frozen = drawn(rows=DIM), drawn(seed=1, rows=DIM)
    assert torch.isfinite(whitened_distillation_loss(p, frozen, 0.1))


def test_the_gradient_reaches_predictor_and_projections():
    form, z = Whitened(Whitened.Settings(hidden_dim=6), DIM, None).double(), drawn()
    form.loss([view.requires_grad_() for view in z], drawn(seed=1), None).backward()
    assert all(view.grad.any() for view in z)
    assert all(parameter.grad is not None for parameter in form.parameters())


def test_it_is_the_form_of_wmse_and_fits_any_objective():
    resolved = Cassle.resolve({}, WMSE)
    assert (resolved["distillation"]["name"], resolved["weight"]) == ("whitened", 1)
    assert Whitened.incompatibility(SimCLR) is None
