"""NNCLR: closed forms, neighbors, and where gradients go."""

import math

import pytest
import torch

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.nnclr import NNCLR, NNCLRSettings, nearest, nnclr_loss
from cassle.tensors.outputs import Outputs

T = 0.5
DIM, QUEUE = 4, 6
SETTINGS = NNCLRSettings(hidden_dim=6, output_dim=DIM, pred_hidden_dim=6, temperature=T, queue_size=QUEUE)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def objective(backbone):
    return NNCLR(SETTINGS, backbone, 10)


def rows(n, seed=0):
    return torch.randn(n, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def outputs_of(n, seed=0):
    z1, z2, p1, p2 = (rows(n, 4 * seed + part).float().requires_grad_() for part in range(4))
    return Outputs([], [z1, z2], [p1, p2])


def images(n=5):
    return list(torch.randn(2, n, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_predictions_equal_to_unrelated_neighbors_score_the_positive_alone():
    neighbor = torch.eye(4, dtype=torch.float64)
    close(nnclr_loss(neighbor, neighbor, T), math.log(1 + 3 * math.exp(-1 / T)))


def test_predictions_orthogonal_to_all_neighbors_cannot_be_told_apart():
    axes = torch.eye(6, dtype=torch.float64)
    close(nnclr_loss(axes[:3], axes[3:], T), math.log(3))


def test_a_neighbor_shared_by_all_images_gives_the_logarithm_of_their_number():
    p = rows(1).expand(5, DIM)
    close(nnclr_loss(rows(5, 1), p, T), math.log(5))


def test_the_softmax_runs_over_predictions_not_over_neighbors():
    axes = torch.eye(2, dtype=torch.float64)
    shared = axes[:1].expand(2, 2)
    close(nnclr_loss(shared, axes, T), (math.log(1 + math.exp(-1 / T)) + math.log(1 + math.exp(1 / T))) / 2)
    close(nnclr_loss(axes, shared, T), math.log(2))


def test_order_of_images_and_length_of_rows_do_not_matter():
    neighbor, p, order = rows(6), rows(6, 1), torch.tensor([3, 0, 5, 1, 4, 2])
    expected = nnclr_loss(neighbor, p, T)
    close(nnclr_loss(neighbor[order], p[order], T), expected)
    close(nnclr_loss(3 * neighbor, p / 7, T), expected)
    assert not torch.isclose(nnclr_loss(neighbor[order], p, T), expected)


def test_the_nearest_row_is_that_of_the_smallest_angle():
    queue = torch.eye(4, dtype=torch.float64)
    z = torch.tensor([[0.1, 0.2, 0.0, 0.0], [0.0, 9.0, -1.0, 9.5], [-1.0, -1.0, -1.0, -0.1]], dtype=torch.float64)
    assert nearest(z.requires_grad_(), queue).tolist() == [1, 3, 3]


def test_the_neighbor_of_a_view_is_contrasted_with_predictions_of_the_other(objective):
    outputs = outputs_of(5)
    (z1, z2), (p1, p2), queue = outputs.z, outputs.p, objective.queue
    first, second = queue[nearest(z1, queue)], queue[nearest(z2, queue)]
    assert objective.loss(outputs, None) == (nnclr_loss(first, p2, T) + nnclr_loss(second, p1, T)) / 2


def test_gradients_reach_the_projections_through_the_predictions_only(objective, backbone):
    outputs = outputs_of(5)
    found = torch.autograd.grad(objective.loss(outputs, None), [*outputs.z, *outputs.p], allow_unused=True)
    assert [gradient is None for gradient in found] == [True, True, False, False]
    objective.loss(objective(backbone, images()), None).backward()
    assert objective.predictor[0].weight.grad.any()
    assert objective.projector[0].weight.grad.any()


def test_a_distillation_receives_what_the_predictor_receives(objective):
    z = rows(5)
    assert objective.distillation_input(z) is z
