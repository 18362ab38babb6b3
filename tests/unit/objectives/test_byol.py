"""BYOL: cosine loss in closed form, targets without gradient, and a momentum network that carries over."""

import pytest
import torch

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment, TaskStart
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


def snapshot(tensors):
    return {name: tensor.detach().clone() for name, tensor in tensors}


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


def test_the_optimizer_gets_projector_and_predictor_only(objective):
    (group,) = objective.groups()
    expected = [*objective.projector.parameters(), *objective.predictor.parameters()]
    assert {id(p) for p in group.parameters} == {id(p) for p in expected}
    assert (group.lr_scale, group.scheduled) == (1.0, True)


@pytest.mark.parametrize(
    ("step", "tau"),
    [(0, 0.9), (5, 0.95), (10, 1.0)],  # half a cosine from 0.9 to 1 over 10 steps
)
def test_after_a_step_the_parameters_alone_follow_with_the_tau_of_that_step(backbone, objective, step, tau):
    objective(backbone, views())
    with torch.no_grad():
        for parameter in [*backbone.parameters(), *objective.projector.parameters()]:
            parameter.add_(1)
    momentum = objective.momentum
    weights, statistics = snapshot(momentum.named_parameters()), snapshot(momentum.named_buffers())
    online = snapshot(backbone.state_dict().items())
    objective.after_step(backbone, Moment(epoch=0, step=step, epochs=2, steps=10))
    for name, parameter in momentum.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name] + (1 - tau))
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in momentum.named_buffers())
    assert all(torch.equal(value, online[name]) for name, value in backbone.state_dict().items())


def test_a_loss_moves_nothing(backbone, objective):
    outputs = objective(backbone, views())
    before = snapshot(objective.state_dict().items())
    objective.loss(outputs, None)
    objective.after_loss(outputs, None)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_predictor_and_momentum_network_carry_over_to_the_next_task(backbone, objective):
    objective.after_step(backbone, Moment(epoch=0, step=0, epochs=1, steps=2))
    before = snapshot(objective.state_dict().items())
    objective.begin_task(TaskStart(1, 0, lambda: pytest.fail("BYOL keeps no memory of features")))
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_a_checkpoint_carries_all_of_it_strictly(backbone, objective):
    other = BYOL(SETTINGS, Conv3Narrow(8, Options()), 10)
    other.load_state_dict(objective.state_dict(), strict=True)
    assert {name.split(".")[0] for name in objective.state_dict()} == {"projector", "predictor", "momentum"}
    for found, expected in zip(other.momentum(views()), objective.momentum(views()), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_momentum_network_is_in_the_mode_of_the_whole(objective, training):
    objective.train(training)
    assert {module.training for module in objective.momentum.modules()} == {training}
