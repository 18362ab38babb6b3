"""SimCLR: NT-Xent in closed form, and a projector that is all it has."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.simclr import SimCLR, SimCLRSettings, masked_simclr_loss, simclr_loss, view_masks
from cassle.tensors.outputs import Outputs

TEMPERATURES = pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])


def drawn(rows=6, dim=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, dim, dtype=torch.float64, generator=draw) for _ in range(2)]


def axes(rows, count):
    """``count`` sets of ``rows`` vectors, all at right angles to each other."""
    return list(torch.eye(count * rows, dtype=torch.float64).split(rows))


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@TEMPERATURES
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_identical_views_of_unrelated_images_score_the_positive_alone(rows, temperature):
    (z,) = axes(rows, 1)
    # The positive scores 1 / T and the 2N - 2 views of other images score 0.
    close(simclr_loss(z, z, temperature), math.log(1 + (2 * rows - 2) * math.exp(-1 / temperature)))


@TEMPERATURES
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_orthogonal_views_cannot_be_told_from_other_images(rows, temperature):
    close(simclr_loss(*axes(rows, 2), temperature), math.log(2 * rows - 1))


@TEMPERATURES
def test_a_collapsed_network_gets_the_logarithm_of_the_number_of_candidates(temperature):
    z = torch.ones(5, 3, dtype=torch.float64)
    close(simclr_loss(z, 2 * z, temperature), math.log(2 * 5 - 1))


@TEMPERATURES
def test_any_views_give_the_sum_of_the_paper(temperature):
    z1, z2 = drawn()
    z = F.normalize(torch.cat([z1, z2]), dim=1).tolist()
    anchors = []
    for i in range(12):
        scores = [sum(a * b for a, b in zip(z[i], z[k], strict=True)) / temperature for k in range(12)]
        others = math.fsum(math.exp(scores[k]) for k in range(12) if k != i)
        anchors.append(-scores[(i + 6) % 12] + math.log(others))
    close(simclr_loss(z1, z2, temperature), math.fsum(anchors) / 12)


def test_order_of_images_order_of_views_and_length_of_rows_do_not_matter():
    z1, z2 = drawn()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    lengths = torch.arange(1, 7)[:, None]
    expected = simclr_loss(z1, z2, 0.2)
    close(simclr_loss(z1[order], z2[order], 0.2), expected)
    close(simclr_loss(z2, z1, 0.2), expected)
    close(simclr_loss(lengths * z1, z2, 0.2), expected)
    assert not torch.isclose(simclr_loss(z1[order], z2, 0.2), expected)


def test_both_views_are_pulled_together():
    z1, z2 = (z.requires_grad_() for z in drawn())
    loss = simclr_loss(z1, z2, 0.2)
    steps = torch.autograd.grad(loss, [z1, z2])
    assert all(step.abs().max() > 0 for step in steps)
    assert simclr_loss(*(z - 1e-3 * step for z, step in zip((z1, z2), steps, strict=True)), 0.2) < loss


def test_two_views_are_a_case_of_many():
    z1, z2 = drawn()
    found = masked_simclr_loss(torch.cat([z1, z2]), *view_masks(torch.arange(6), 2), 0.2)
    close(found, simclr_loss(z1, z2, 0.2))


@TEMPERATURES
@pytest.mark.parametrize(("rows", "count"), [(4, 2), (4, 3), (2, 5)])
def test_with_many_views_a_positive_competes_with_negatives_only(rows, count, temperature):
    (z,) = axes(rows, 1)
    masks = view_masks(torch.arange(rows), count)
    # Each positive scores 1 / T against the views of other images, which score 0.
    expected = math.log(1 + count * (rows - 1) * math.exp(-1 / temperature))
    close(masked_simclr_loss(z.repeat(count, 1), *masks, temperature), expected)


def test_anchors_without_positives_do_not_count():
    z = torch.cat(drawn())
    positives, negatives = view_masks(torch.tensor([0, 1, 2, 3, 4, 5]), 2)
    alone = positives.clone()
    alone[2:] = False
    each = [masked_simclr_loss(z, positives & (torch.arange(12) == i)[:, None], negatives, 0.2) for i in range(12)]
    close(masked_simclr_loss(z, alone, negatives, 0.2), (each[0] + each[1]) / 2)
    close(masked_simclr_loss(z, positives, negatives, 0.2), sum(each) / 12)
    close(masked_simclr_loss(z, torch.zeros_like(positives), negatives, 0.2), 0)


def test_a_score_far_below_the_negatives_keeps_loss_and_gradient_finite():
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 1e-3], [1.0, 1e-3]], requires_grad=True)
    loss = masked_simclr_loss(z, *view_masks(torch.arange(2), 2), 1e-3)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


@pytest.fixture
def objective():
    return SimCLR(SimCLRSettings(hidden_dim=8, output_dim=4, temperature=0.3), Conv3Narrow(8, Options()), 10)


def test_the_projector_has_one_hidden_layer_without_batchnorm(objective):
    assert [type(layer).__name__ for layer in objective.projector] == ["Linear", "ReLU", "Linear"]
    assert objective.project(torch.randn(3, 32)).shape == (3, 4)
    assert objective.output_dim == 4


def test_its_loss_is_taken_between_the_two_views_at_its_temperature(objective):
    z = drawn()
    assert torch.equal(objective.loss(Outputs([], z), None), simclr_loss(*z, 0.3))


def test_of_three_views_each_is_a_positive_of_the_others(objective):
    z = [*drawn(), drawn(seed=1)[0]]
    expected = masked_simclr_loss(torch.cat(z), *view_masks(torch.arange(6), 3), 0.3)
    assert torch.equal(objective.loss(Outputs([], z), None), expected)


def test_a_checkpoint_carries_the_projector_and_nothing_else(objective):
    other = SimCLR(objective.settings, Conv3Narrow(8, Options()), 10)
    other.load_state_dict(objective.state_dict(), strict=True)
    assert {name.split(".")[0] for name in objective.state_dict()} == {"projector"}
    features = torch.randn(3, 32)
    assert torch.equal(other.project(features), objective.project(features))
