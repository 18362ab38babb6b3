"""SupCon: closed forms, what a label changes, and its limit without labels."""

import math

import pytest
import torch
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import TaskStart
from cassle.objectives.simclr import simclr_loss
from cassle.objectives.supcon import SupCon, SupConSettings, positive_pairs, supcon_loss
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs

T = 0.5
AXES = torch.eye(2, dtype=torch.float64)


def views(n: int = 6) -> tuple[Tensor, Tensor]:
    z = torch.randn(2, n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return z[0], z[1]


def batch(labels: Tensor) -> Batch:
    n = len(labels)
    images = torch.zeros(n, 3, 8, 8, dtype=torch.uint8)
    return Batch(torch.arange(n), images, labels, 0, torch.zeros(n, dtype=torch.bool), torch.Generator())


@pytest.fixture
def objective():
    return SupCon(SupConSettings(hidden_dim=6, output_dim=4, temperature=T), Conv3Narrow(8, Options()), 10)


def test_positives_are_the_other_rows_of_the_same_label():
    labels = torch.tensor([4, 9, 4])
    expected = [[row != other and row % 3 % 2 == other % 3 % 2 for other in range(6)] for row in range(6)]
    assert positive_pairs(labels).tolist() == expected


def test_with_a_label_per_image_the_loss_is_that_of_simclr():
    z1, z2 = views()
    torch.testing.assert_close(supcon_loss(z1, z2, torch.arange(6), T), simclr_loss(z1, z2, T))


def test_identical_rows_of_one_label_cannot_be_told_apart():
    z = torch.ones(3, 4, dtype=torch.float64)
    assert supcon_loss(z, z, torch.zeros(3), T).item() == pytest.approx(math.log(5))


def test_identical_views_of_orthogonal_images_of_two_labels():
    loss = supcon_loss(AXES, AXES, torch.tensor([0, 1]), T)
    assert loss.item() == pytest.approx(math.log(math.exp(1 / T) + 2) - 1 / T)


def test_orthogonal_images_of_one_label_share_the_pull_of_their_positives():
    loss = supcon_loss(AXES, AXES, torch.tensor([3, 3]), T)
    assert loss.item() == pytest.approx(math.log(math.exp(1 / T) + 2) - 1 / (3 * T))


def test_the_loss_does_not_depend_on_order_length_or_names_of_labels():
    z1, z2 = views()
    labels = torch.tensor([0, 1, 1, 2, 0, 1])
    loss = supcon_loss(z1, z2, labels, T)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(supcon_loss(z1[order], z2[order], labels[order], T), loss)
    torch.testing.assert_close(supcon_loss(z2, z1, labels, T), loss)
    torch.testing.assert_close(supcon_loss(3 * z1, 0.1 * z2, labels, T), loss)
    torch.testing.assert_close(supcon_loss(z1, z2, 70 - 3 * labels, T), loss)


def test_gradients_are_finite_and_reach_both_views():
    leaves = [view.requires_grad_() for view in views()]
    supcon_loss(*leaves, torch.tensor([0, 1, 1, 2, 0, 1]), T).backward()
    assert all(leaf.grad.isfinite().all() and leaf.grad.any() for leaf in leaves)


def test_the_objective_reads_the_labels_of_the_batch_and_says_so(objective):
    z1, z2 = views()
    labels = torch.tensor([0, 1, 1, 2, 0, 1])
    assert objective.supervised
    assert objective.loss(Outputs([], [z1, z2]), batch(labels)) == supcon_loss(z1, z2, labels, T)


def test_a_task_boundary_and_a_step_leave_the_state_alone(objective):
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    outputs, own = Outputs([], list(views())), batch(torch.zeros(6, dtype=torch.long))
    objective.begin_task(TaskStart(1, 0, lambda: None))
    objective.loss(outputs, own)
    objective.after_loss(outputs, own)
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_the_state_loads_strictly_and_gives_the_same_projections(objective):
    other = SupCon(objective.settings, Conv3Narrow(8, Options()), 10)
    other.load_state_dict(objective.state_dict())
    features = torch.randn(5, 32)
    assert torch.equal(other.project(features), objective.project(features))
    assert objective.project(features).shape == (5, objective.output_dim)
