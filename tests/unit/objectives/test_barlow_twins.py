"""Barlow Twins: the cross-correlation in closed form, and a projector that is all it has."""

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.barlow_twins import BarlowTwins, BarlowTwinsSettings, barlow_loss, standardize
from cassle.tensors.outputs import Outputs

EPS = 1e-5
WEIGHTS = pytest.mark.parametrize(("lamb", "scale"), [(5e-3, 0.025), (0.0, 1.0), (1.0, 0.1)])


def drawn(rows=12, dim=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, dim, dtype=torch.float64, generator=draw) for _ in range(2)]


def signs():
    """Seven columns of 1 and -1 over eight rows: mean 0, variance 1, no two correlated (a Hadamard matrix)."""
    pair = torch.tensor([[1.0, 1], [1, -1]], dtype=torch.float64)
    return torch.kron(torch.kron(pair, pair), pair)[:, 1:]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_standardized_features_have_mean_0_and_variance_1():
    z = standardize(3 + 10 * drawn()[0])
    close(z.mean(dim=0), torch.zeros(5))
    torch.testing.assert_close(z.var(dim=0, unbiased=False), torch.ones(5, dtype=torch.float64), rtol=1e-5, atol=0)


def test_standardizing_is_batchnorm_without_a_scale_of_its_own():
    z = drawn()[0]
    close(standardize(z), F.batch_norm(z, None, None, training=True, eps=EPS))


def test_a_feature_that_never_changes_becomes_0_rather_than_a_nan():
    assert torch.equal(standardize(torch.full((4, 2), 7.0)), torch.zeros(4, 2))


@WEIGHTS
@pytest.mark.parametrize(("sign", "distance"), [(1, 1 / (1 + EPS) - 1), (-1, -1 / (1 + EPS) - 1)])
def test_identical_and_opposite_views_of_uncorrelated_features_differ_on_the_diagonal_only(sign, distance, lamb, scale):
    z = signs()
    close(barlow_loss(z, sign * z, lamb, scale), scale * 7 * distance**2)


@WEIGHTS
def test_uncorrelated_views_cost_1_per_feature(lamb, scale):
    z = signs()
    close(barlow_loss(z[:, :3], z[:, 3:6], lamb, scale), scale * 3)


@WEIGHTS
def test_a_feature_that_repeats_another_costs_its_two_entries_off_the_diagonal(lamb, scale):
    z = signs()[:, [0, 0, 1]]
    one = 1 / (1 + EPS)
    close(barlow_loss(z, z, lamb, scale), scale * (3 * (one - 1) ** 2 + lamb * 2 * one**2))


@WEIGHTS
def test_any_views_give_the_sum_of_the_paper(lamb, scale):
    z1, z2 = drawn()
    columns = [[column - column.mean() for column in z.T] for z in (z1, z2)]
    total = 0.0
    for d, a in enumerate(columns[0]):
        for e, b in enumerate(columns[1]):
            c = float((a * b).mean() / ((a.square().mean() + EPS) * (b.square().mean() + EPS)).sqrt())
            total += (c - 1) ** 2 if d == e else lamb * c**2
    close(barlow_loss(z1, z2, lamb, scale), scale * total)


def test_order_of_images_views_and_features_and_the_mean_of_features_do_not_matter():
    z1, z2 = drawn()
    rows, features = torch.randperm(12, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 0, 1, 4, 3])
    expected = barlow_loss(z1, z2, 5e-3, 0.1)
    close(barlow_loss(z1[rows], z2[rows], 5e-3, 0.1), expected)
    close(barlow_loss(z2, z1, 5e-3, 0.1), expected)
    close(barlow_loss(z1[:, features], z2[:, features], 5e-3, 0.1), expected)
    close(barlow_loss(z1 + 3, z2, 5e-3, 0.1), expected)
    assert not torch.isclose(barlow_loss(z1[rows], z2, 5e-3, 0.1), expected)


def test_gradients_reach_both_views_also_through_their_statistics():
    leaves = [z.requires_grad_() for z in drawn()]
    assert torch.autograd.gradcheck(lambda z1, z2: barlow_loss(z1, z2, 0.1, 1.0), leaves)
    for gradient in torch.autograd.grad(barlow_loss(*leaves, 0.1, 1.0), leaves):
        # Shifting a feature changes nothing, so its gradients over the batch cancel.
        close(gradient.sum(dim=0), torch.zeros(5))
        assert gradient.abs().max() > 1e-3


@pytest.fixture
def objective():
    settings = BarlowTwinsSettings(hidden_dim=8, output_dim=5, lamb=0.2, scale_loss=0.3)
    return BarlowTwins(settings, Conv3Narrow(8, Options()), 10)


def test_the_projector_has_two_hidden_layers_with_batchnorm(objective):
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(layer).__name__ for layer in objective.projector] == [*block, *block, "Linear"]
    assert objective.project(torch.randn(3, 32)).shape == (3, 5)
    assert objective.output_dim == 5


def test_its_loss_is_taken_between_the_two_views_with_its_weights(objective):
    z = drawn()
    assert torch.equal(objective.loss(Outputs([], z), None), barlow_loss(*z, 0.2, 0.3))


def test_a_checkpoint_carries_the_projector_and_nothing_else(objective):
    other = BarlowTwins(objective.settings, Conv3Narrow(8, Options()), 10)
    other.load_state_dict(objective.state_dict(), strict=True)
    assert {name.split(".")[0] for name in objective.state_dict()} == {"projector"}
    features = torch.randn(6, 32)
    assert torch.equal(other.project(features), objective.project(features))
