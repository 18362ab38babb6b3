"""SimSiam: closed forms, what gets a gradient and at which rate."""

import pytest
import torch
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import TaskStart
from cassle.objectives.simsiam import SimSiam, SimSiamSettings, simsiam_loss
from cassle.tensors.outputs import Outputs

AXES = torch.eye(4, dtype=torch.float64)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def objective(backbone):
    return SimSiam(SimSiamSettings(hidden_dim=6, output_dim=4, pred_hidden_dim=3), backbone, 10)


def images() -> list[Tensor]:
    return list(torch.randn(2, 5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("p", "expected"),
    [(AXES, -1), (3 * AXES, -1), (AXES.roll(1, dims=0), 0), (-AXES, 1)],
    ids=["equal", "of another length", "orthogonal", "opposite"],
)
def test_the_loss_is_minus_the_cosine(p, expected):
    assert simsiam_loss(p, AXES).item() == pytest.approx(expected)


def test_the_loss_does_not_depend_on_the_order_of_images():
    p, z = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(simsiam_loss(p[order], z[order]), simsiam_loss(p, z))


def test_a_view_is_predicted_from_the_other_view(objective):
    z1, z2 = AXES, AXES.roll(1, dims=0)
    assert objective.loss(Outputs([], [z1, z2], p=[z2, z1]), None).item() == pytest.approx(-1)
    assert objective.loss(Outputs([], [z1, z2], p=[z1, z2]), None).item() == pytest.approx(0)
    assert objective.loss(Outputs([], [z1, z2], p=[z2, z2]), None).item() == pytest.approx(-0.5)


def test_no_gradient_reaches_what_is_predicted(objective):
    z = [AXES.clone().requires_grad_(), AXES.clone().requires_grad_()]
    p = [torch.ones(4, 4, dtype=torch.float64, requires_grad=True) for _ in z]
    objective.loss(Outputs([], z, p), None).backward()
    assert all(tensor.grad is None for tensor in z)
    assert all(tensor.grad.any() for tensor in p)


def test_projections_are_standardized_over_the_batch_of_their_own_view(objective, backbone):
    for z in objective(backbone, images()).z:
        torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-5)
        assert (z.square().mean(dim=0) <= 1).all()


def test_nothing_scales_or_shifts_the_standardized_projections(objective):
    assert list(objective.projector[-1].parameters()) == []


def test_predictions_are_those_of_the_projections(objective, backbone):
    outputs = objective.eval()(backbone, images())
    assert len(outputs.p) == 2
    assert all(torch.equal(p, objective.predictor(z)) for p, z in zip(outputs.p, outputs.z, strict=True))


def test_the_predictor_keeps_its_rate_and_the_projector_follows_the_schedule(objective):
    projector, predictor = objective.groups()
    assert projector.scheduled
    assert not predictor.scheduled
    assert (projector.lr_scale, predictor.lr_scale) == (1, 1)
    assert {id(p) for p in predictor.parameters} == {id(p) for p in objective.predictor.parameters()}


def test_everything_but_the_bias_before_the_last_batchnorm_is_trained(objective):
    trained = {id(p) for group in objective.groups() for p in group.parameters}
    left_out = [name for name, p in objective.named_parameters() if id(p) not in trained]
    assert left_out == ["projector.6.bias"]
    assert not objective.get_parameter(left_out[0]).requires_grad


def test_a_task_boundary_leaves_the_state_alone(objective):
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.begin_task(TaskStart(1, 0, lambda: None))
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_the_loss_leaves_the_state_alone(objective, backbone):
    outputs = objective(backbone, images())
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.loss(outputs, None)
    objective.after_loss(outputs, None)
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_the_state_loads_strictly_and_gives_the_same_outputs(objective, backbone):
    other = SimSiam(objective.settings, backbone, 10)
    other.load_state_dict(objective.state_dict())
    ours, theirs = (module(backbone.eval(), images()) for module in (objective, other))
    assert all(torch.equal(a, b) for a, b in zip(ours.z + ours.p, theirs.z + theirs.p, strict=True))
