"""ReSSL: closed forms, and the one direction from query to key."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.ressl import ReSSL, ReSSLSettings, ressl_loss
from cassle.tensors.outputs import Outputs

TQ, TK = 0.5, 0.2
DIM, QUEUE = 4, 6
SETTINGS = ReSSLSettings(
    hidden_dim=6, output_dim=DIM, temperature_q=TQ, temperature_k=TK, queue_size=QUEUE, base_tau=0.9
)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def objective(backbone):
    return ReSSL(SETTINGS, backbone, 10)


def rows(n, seed=0):
    drawn = torch.randn(n, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return F.normalize(drawn, dim=1)


def outputs_of(n, seed=0):
    z1, z2, k1, k2 = (3 * rows(n, 4 * seed + part).float() for part in range(4))
    return Outputs([], [z1.requires_grad_(), z2.requires_grad_()], targets=[k1, k2])


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batchnorm", [False, True])
def test_the_projector_normalizes_only_if_asked(backbone, batchnorm):
    made = ReSSL(SETTINGS.model_copy(update={"batchnorm": batchnorm}), backbone, 10)
    found = [type(layer).__name__ for layer in made.projector]
    assert found == ["Linear", *(["BatchNorm1d"] if batchnorm else []), "ReLU", "Linear"]


def test_images_unrelated_to_the_whole_queue_relate_to_all_of_it_alike():
    axes = torch.eye(6, dtype=torch.float64)
    close(ressl_loss(axes[:2], axes[:2], axes[2:], TQ, TK), math.log(4))


def test_a_key_that_is_one_row_of_the_queue_makes_that_row_the_target():
    queue = torch.eye(4, dtype=torch.float64)
    hit = 1 / (1 + 3 * math.exp(-1 / TK))
    log_hit = -math.log(1 + 3 * math.exp(-1 / TQ))
    same = -hit * log_hit - (1 - hit) * (log_hit - 1 / TQ)
    close(ressl_loss(queue, queue, queue, TQ, TK), same)
    # The query is another row than the key: only the remaining two of the four rows count as before.
    other = -(hit + (1 - hit) * 2 / 3) * (log_hit - 1 / TQ) - (1 - hit) / 3 * log_hit
    close(ressl_loss(queue.roll(1, 0), queue, queue, TQ, TK), other)


def test_equal_relations_cost_their_entropy_which_is_the_least():
    q, queue = rows(5).requires_grad_(), rows(7, 1)
    relation = (q.detach() @ queue.T / TQ).softmax(dim=1)
    loss = ressl_loss(q, q.detach(), queue, TQ, TQ)
    close(loss, -(relation * relation.log()).sum(dim=1).mean())
    (gradient,) = torch.autograd.grad(loss, q)
    close(gradient, torch.zeros_like(gradient))


def test_no_gradient_reaches_the_key():
    query, key = rows(5).requires_grad_(), rows(5, 1).requires_grad_()
    found = torch.autograd.grad(ressl_loss(query, key, rows(7, 2), TQ, TK), [query, key], allow_unused=True)
    assert found[0].any()
    assert found[1] is None


def test_order_of_images_and_order_of_the_queue_do_not_matter():
    query, key, queue, order = rows(6), rows(6, 1), rows(6, 2), torch.tensor([3, 0, 5, 1, 4, 2])
    expected = ressl_loss(query, key, queue, TQ, TK)
    close(ressl_loss(query[order], key[order], queue, TQ, TK), expected)
    close(ressl_loss(query, key, queue[order], TQ, TK), expected)
    assert not torch.isclose(ressl_loss(query[order], key, queue, TQ, TK), expected)


def test_the_first_view_is_the_query_and_the_second_the_key_whatever_their_lengths(objective):
    outputs = outputs_of(5)
    query, key = F.normalize(outputs.z[0], dim=1), F.normalize(outputs.targets[1], dim=1)
    loss = objective.loss(outputs, None)
    assert loss == ressl_loss(query, key, objective.queue, TQ, TK)
    found = torch.autograd.grad(loss, outputs.z, allow_unused=True)
    assert found[0].any()
    assert found[1] is None


def test_a_distillation_receives_unit_rows(objective):
    torch.testing.assert_close(objective.distillation_input(3 * rows(5)), rows(5))
