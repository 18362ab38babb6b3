"""MoCo V2+: closed forms, and which key and queue a view is compared with."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.mocov2plus import MoCoV2Plus, MoCoV2PlusSettings, moco_loss
from cassle.tensors.outputs import Outputs

T = 0.5
DIM, QUEUE = 4, 6


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def objective(backbone):
    settings = MoCoV2PlusSettings(hidden_dim=6, output_dim=DIM, temperature=T, queue_size=QUEUE, base_tau=0.9)
    return MoCoV2Plus(settings, backbone, 10)


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed))


def outputs_of(n: int, seed: int = 0) -> Outputs:
    z1, z2, k1, k2 = (rows(n, 4 * seed + part) for part in range(4))
    return Outputs([], [z1.requires_grad_(), z2.requires_grad_()], targets=[k1, k2])


def test_a_query_equal_to_its_key_and_orthogonal_to_the_queue():
    query = torch.eye(4, dtype=torch.float64)[:2]
    queue = torch.eye(4, dtype=torch.float64)[:, 2:]
    assert moco_loss(query, query, queue, T).item() == pytest.approx(math.log(1 + 2 * math.exp(-1 / T)))


def test_a_queue_equal_to_the_key_cannot_be_told_from_it():
    query = F.normalize(rows(3), dim=1)
    key = query[:1].expand(3, DIM)
    queue = key[:1].T.expand(DIM, 5)
    assert moco_loss(query, key, queue, T).item() == pytest.approx(math.log(6))


def test_the_loss_does_not_depend_on_the_order_of_images_or_of_the_queue():
    query, key, queue = (F.normalize(rows(6, seed).double(), dim=1) for seed in range(3))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    loss = moco_loss(query, key, queue.T, T)
    torch.testing.assert_close(moco_loss(query[order], key[order], queue.T, T), loss)
    torch.testing.assert_close(moco_loss(query, key, queue.T[:, order], T), loss)


def test_a_view_is_contrasted_with_key_and_queue_of_the_other_view(objective):
    outputs = outputs_of(5)
    q1, q2, k1, k2 = (F.normalize(tensor, dim=1) for tensor in (*outputs.z, *outputs.targets))
    expected = (moco_loss(q1, k2, objective.queue[1], T) + moco_loss(q2, k1, objective.queue[0], T)) / 2
    assert objective.loss(outputs, None) == expected


def test_a_distillation_receives_unit_rows(objective):
    torch.testing.assert_close(objective.distillation_input(3 * rows(5)), F.normalize(rows(5), dim=1))
