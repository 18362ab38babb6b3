"""BYOL: cosine loss in closed form, targets without gradient, and the networks that outputs come from."""

import pytest
import torch

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.byol import BYOL, BYOLSettings, byol_loss
from cassle.tensors.outputs import Outputs


def drawn(rows=6, dim=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, dim, dtype=torch.float64, generator=draw) for _ in range(2)]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def turned(z):
    """Rows at a right angle to those of ``z`` (N, 2k)."""
    first, second = z.chunk(2, dim=1)
    return torch.cat([-second, first], dim=1)


@pytest.mark.parametrize(("change", "expected"), [(lambda z: z, 0), (turned, 2), (lambda z: -z, 4)])
def test_identical_orthogonal_and_opposite_rows_cost_0_2_and_4(change, expected):
    z = drawn(dim=6)[0]
    close(byol_loss(z, change(z)), expected)


def test_it_is_the_squared_distance_of_unit_vectors():
    p, target = drawn()
    unit = [z / z.norm(dim=1, keepdim=True) for z in (p, target)]
    close(byol_loss(p, target), (unit[0] - unit[1]).square().sum(dim=1).mean())


def test_order_of_images_and_length_of_rows_do_not_matter():
    p, target = drawn()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    expected = byol_loss(p, target)
    close(byol_loss(p[order], target[order]), expected)
    close(byol_loss(p, torch.arange(1, 7)[:, None] * target), expected)
    assert not torch.isclose(byol_loss(p[order], target), expected)


def test_the_gradient_never_reaches_the_target():
    p, target = (z.requires_grad_() for z in drawn())
    byol_loss(p, target).backward()
    assert target.grad is None
    close((p.grad * p).sum(dim=1), torch.zeros(6))  # turning counts, length does not
    assert p.grad.abs().max() > 0.01


SETTINGS = BYOLSettings(hidden_dim=8, output_dim=4, pred_hidden_dim=6, base_tau=0.9)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def objective(backbone):
    return BYOL(SETTINGS, backbone, 10)


def views():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(6, 3, 8, 8, generator=draw) for _ in range(2)]


def test_projector_and_predictor_have_one_hidden_layer_with_batchnorm(objective):
    for head in (objective.projector, objective.predictor):
        assert [type(layer).__name__ for layer in head] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert objective.output_dim == 4


def test_predictions_stand_on_the_projections_and_targets_on_the_momentum_network(backbone, objective):
    outputs = objective.eval()(backbone.eval(), views())
    for z, p in zip(outputs.z, outputs.p, strict=True):
        assert torch.equal(p, objective.predictor(z))
    for target, expected in zip(outputs.targets, objective.momentum(views()), strict=True):
        assert torch.equal(target, expected)


def test_its_loss_is_the_sum_of_both_directions_each_with_the_other_views_target(objective):
    one, other = drawn(dim=4)
    for targets, expected in (([other, one], 0), ([-other, one], 4), ([turned(other), -one], 2 + 4)):
        close(objective.loss(Outputs([], [], [one, other], targets), None), expected)


def test_the_gradient_reaches_the_online_networks_and_never_the_momentum_network(backbone, objective):
    objective.loss(objective(backbone, views()), None).backward()
    online = [backbone, objective.projector, objective.predictor]
    assert all(parameter.grad is not None for module in online for parameter in module.parameters())
    assert all(parameter.grad is None for parameter in objective.momentum.parameters())
