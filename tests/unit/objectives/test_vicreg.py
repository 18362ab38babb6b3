"""VICReg: closed forms of its three terms, and an objective that carries nothing but weights."""

import pytest
import torch
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import TaskStart
from cassle.objectives.vicreg import VICReg, VICRegSettings, covariance_term, variance_term, vicreg_loss
from cassle.tensors.outputs import Outputs

# columns are orthogonal with mean 0 and unbiased variance 4 / 3
SPREAD = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)


def views(n: int = 6, dim: int = 4) -> tuple[Tensor, Tensor]:
    z = torch.randn(2, n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return z[0], z[1]


@pytest.fixture
def objective():
    return VICReg(VICRegSettings(hidden_dim=6, output_dim=4), Conv3Narrow(8, Options()), 10)


def test_a_constant_feature_falls_short_by_its_whole_standard_deviation():
    assert variance_term(torch.full((4, 3), 7.0), eps=1e-4).item() == pytest.approx(1 - 0.01)


def test_features_that_vary_enough_cost_nothing():
    assert variance_term(SPREAD).item() == 0


def test_the_variance_term_is_the_mean_shortfall_of_features():
    z = torch.tensor([[0.5, 3.0], [-0.5, -3.0]], dtype=torch.float64)
    assert variance_term(z, eps=0).item() == pytest.approx((1 - 0.5**0.5) / 2)


def test_orthogonal_features_have_no_covariance():
    assert covariance_term(SPREAD).item() == 0


def test_a_repeated_feature_costs_its_squared_variance_twice_over_the_number_of_features():
    z = torch.tensor([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], dtype=torch.float64)
    assert covariance_term(z).item() == pytest.approx(2 * 2.0**2 / 3)


def test_the_covariance_term_does_not_see_a_shift_of_features():
    z, _ = views()
    torch.testing.assert_close(covariance_term(z + 100), covariance_term(z))


def test_equal_views_of_spread_and_orthogonal_features_cost_nothing():
    assert vicreg_loss(SPREAD, SPREAD, 25, 25, 1).item() == 0


def test_a_shifted_view_costs_the_mean_squared_shift():
    assert vicreg_loss(SPREAD, SPREAD + 0.5, 8, 25, 1).item() == pytest.approx(8 * 0.5**2)


def test_equal_views_cost_twice_the_terms_of_one():
    z, _ = views()
    expected = 2 * (3 * variance_term(z) + 5 * covariance_term(z))
    torch.testing.assert_close(vicreg_loss(z, z, 2, 3, 5), expected)


def test_the_loss_does_not_depend_on_the_order_of_images_or_views():
    z1, z2 = views()
    order = torch.randperm(len(z1), generator=torch.Generator().manual_seed(1))
    loss = vicreg_loss(z1, z2, 2, 3, 5)
    torch.testing.assert_close(vicreg_loss(z1[order], z2[order], 2, 3, 5), loss)
    torch.testing.assert_close(vicreg_loss(z2, z1, 2, 3, 5), loss)


def test_which_image_a_view_is_of_matters_to_the_invariance_alone():
    z1, z2 = views()
    mixed = z2.roll(1, dims=0)
    torch.testing.assert_close(vicreg_loss(z1, mixed, 0, 3, 5), vicreg_loss(z1, z2, 0, 3, 5))
    assert vicreg_loss(z1, mixed, 1, 0, 0) != vicreg_loss(z1, z2, 1, 0, 0)


def test_collapsed_features_still_have_a_finite_gradient():
    z = torch.ones(4, 3, requires_grad=True)
    vicreg_loss(z, z * 1, 25, 25, 1).backward()
    assert z.grad.isfinite().all()


def test_every_weight_of_the_settings_reaches_the_loss():
    settings = VICRegSettings(hidden_dim=6, output_dim=4, sim_loss_weight=2, var_loss_weight=3, cov_loss_weight=5)
    objective = VICReg(settings, Conv3Narrow(8, Options()), 10)
    z1, z2 = views()
    assert objective.loss(Outputs([], [z1, z2]), None) == vicreg_loss(z1, z2, 2, 3, 5)


def test_a_task_boundary_and_a_step_leave_the_state_alone(objective):
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    outputs = Outputs([], list(views()))
    objective.begin_task(TaskStart(1, 0, lambda: None))
    objective.loss(outputs, None)
    objective.after_loss(outputs, None)
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_the_distillation_receives_the_projection_as_it_is(objective):
    z, _ = views()
    assert objective.distillation_input(z) is z
    assert objective.distillation == "mse"


def test_the_state_loads_strictly_and_gives_the_same_projections(objective):
    other = VICReg(objective.settings, Conv3Narrow(8, Options()), 10)
    other.load_state_dict(objective.state_dict())
    features = torch.randn(5, 32)
    assert torch.equal(other.project(features), objective.project(features))
    assert objective.project(features).shape == (5, objective.output_dim)
