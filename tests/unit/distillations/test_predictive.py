"""Predictive distillation: cosine distance in closed form, and its exception for the learning rate."""

import pytest
import torch

from cassle.distillations.predictive import Predictive, predictive_distillation_loss


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 4, dtype=torch.float64, generator=draw) for _ in range(2)]


def turned(z):
    """Rows at a right angle to those of ``z`` (N, 2k)."""
    first, second = z.chunk(2, dim=1)
    return torch.cat([-second, first], dim=1)


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def built(**settings):
    return Predictive(Predictive.Settings(hidden_dim=6, **settings), 4, None).double()


@pytest.mark.parametrize(
    ("of_one", "of_other", "expected"),
    [
        (lambda z: z, lambda z: 5 * z, 0),
        (turned, turned, 2),
        (lambda z: -z, lambda z: -z, 4),
        (lambda z: z, lambda z: -z, 2),
    ],
)
def test_distances_of_0_2_and_4_are_averaged_over_views_and_not_added(of_one, of_other, expected):
    one, other = drawn()
    close(predictive_distillation_loss([one, other], [of_one(one), of_other(other)]), expected)


def test_the_gradient_never_reaches_the_teacher():
    p, frozen = ([view.requires_grad_() for view in drawn(seed)] for seed in (0, 1))
    predictive_distillation_loss(p, frozen).backward()
    assert all(view.grad is None for view in frozen)
    assert all(view.grad.abs().max() > 0 for view in p)


def test_the_form_compares_predictions_with_the_teacher():
    form, z, frozen = built(), drawn(), drawn(seed=1)
    expected = predictive_distillation_loss([form.predictor(view) for view in z], frozen)
    close(form.loss(z, frozen, None), expected)
    assert Predictive.default_weight == 1


@pytest.mark.parametrize(("weight", "scale"), [(0.5, 2.0), (0.1, 10.0), (1.0, 1.0), (2.0, 1.0), (0.0, 1.0)])
def test_a_weight_below_1_raises_the_rate_of_the_predictor_to_make_up_for_it(weight, scale):
    form = built()
    (group,) = form.groups(weight)
    assert group.lr_scale == pytest.approx(scale)
    assert group.scheduled
    assert group.name == "distillation"
    assert {id(p) for p in group.parameters} == {id(p) for p in form.parameters()}
