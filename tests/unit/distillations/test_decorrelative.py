"""Decorrelative distillation: the Barlow Twins loss between the two models, in closed form."""

import pytest
import torch

from cassle.distillations.decorrelative import Decorrelative, decorrelative_distillation_loss
from cassle.objectives.barlow_twins import barlow_loss

ONE = 1 / (1 + 1e-5)
"""Correlation of a feature of variance 1 with itself, as standardizing adds 1e-5 to the variance."""
WEIGHTS = pytest.mark.parametrize(("lamb", "scale"), [(5e-3, 0.1), (1.0, 2.0)])


def signs():
    """Seven columns of 1 and -1 over eight rows: mean 0, variance 1, no two correlated (a Hadamard matrix)."""
    pair = torch.tensor([[1.0, 1], [1, -1]], dtype=torch.float64)
    return torch.kron(torch.kron(pair, pair), pair)[:, 1:]


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 3, dtype=torch.float64, generator=draw) for _ in range(2)]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@WEIGHTS
def test_a_model_equal_to_its_teacher_and_one_unrelated_to_it(lamb, scale):
    z = signs()
    views, others = [z[:, :3], z[:, 1:4]], [z[:, 3:6], z[:, 4:7]]
    close(decorrelative_distillation_loss(views, views, lamb, scale), scale * 3 * (ONE - 1) ** 2)
    close(decorrelative_distillation_loss(views, others, lamb, scale), scale * 3)


@WEIGHTS
def test_views_are_averaged(lamb, scale):
    z = signs()[:, :3]
    expected = scale * 3 * ((ONE - 1) ** 2 + (-ONE - 1) ** 2) / 2
    close(decorrelative_distillation_loss([z, z], [z, -z], lamb, scale), expected)


@WEIGHTS
def test_what_one_feature_says_of_another_of_the_teacher_costs_the_weight_off_the_diagonal(lamb, scale):
    z = signs()
    p, frozen = z[:, [0, 1]], z[:, [1, 0]]  # features exchanged: nothing on the diagonal, everything off it
    close(decorrelative_distillation_loss([p], [frozen], lamb, scale), scale * (2 + lamb * 2 * ONE**2))


def test_the_teacher_is_standardized_too():
    p, frozen = drawn(), drawn(seed=1)
    expected = decorrelative_distillation_loss(p, frozen, 5e-3, 0.1)
    found = decorrelative_distillation_loss(p, [view + 5 for view in frozen], 5e-3, 0.1)
    close(found, expected)


def test_the_form_uses_its_weights_which_are_the_papers_by_default():
    z, frozen = drawn(), drawn(seed=1)
    for settings, weights in (({"lamb": 0.2, "scale_loss": 0.3}, (0.2, 0.3)), ({}, (5e-3, 0.1))):
        form = Decorrelative(Decorrelative.Settings(depth=0, **settings), 3, None)
        expected = sum(barlow_loss(p, f, *weights) for p, f in zip(z, frozen, strict=True)) / 2
        close(form.loss(z, frozen, None), expected)
    assert Decorrelative.default_weight == 1
