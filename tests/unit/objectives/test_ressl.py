"""ReSSL: closed forms, one direction, keys in the queue, and what a task boundary carries."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment, TaskStart
from cassle.objectives.ressl import ReSSL, ReSSLSettings, ressl_loss
from cassle.tensors.outputs import Outputs
from tests.unit.objectives.reads import CountReads

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


def images(n=5):
    return list(torch.randn(2, n, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


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


def test_the_queue_starts_with_different_unit_rows(objective):
    torch.testing.assert_close(objective.queue.norm(dim=1), torch.ones(QUEUE))
    assert len(objective.queue.unique(dim=0)) == QUEUE
    assert objective.pointer == 0


def test_the_first_view_is_the_query_and_the_second_the_key_whatever_their_lengths(objective):
    outputs = outputs_of(5)
    query, key = F.normalize(outputs.z[0], dim=1), F.normalize(outputs.targets[1], dim=1)
    loss = objective.loss(outputs, None)
    assert loss == ressl_loss(query, key, objective.queue, TQ, TK)
    found = torch.autograd.grad(loss, outputs.z, allow_unused=True)
    assert found[0].any()
    assert found[1] is None


def test_the_queue_holds_the_second_views_latest_keys_in_their_order(objective):
    first, second = outputs_of(4, seed=1), outputs_of(4, seed=2)
    for outputs in (first, second):
        objective.after_loss(outputs, None)
    old, new = (F.normalize(outputs.targets[1], dim=1) for outputs in (first, second))
    assert torch.equal(objective.queue, torch.cat([new[2:], old[2:], new[:2]]))
    assert objective.pointer == 2


@pytest.mark.parametrize("n", [QUEUE, QUEUE + 3, 2 * QUEUE + 1])
def test_a_batch_as_long_as_the_queue_or_longer_leaves_its_last_rows(objective, n):
    outputs = outputs_of(n)
    objective.after_loss(outputs_of(4, seed=3), None)
    objective.after_loss(outputs, None)
    expected = F.normalize(outputs.targets[1][-QUEUE:], dim=1)
    assert torch.equal(objective.queue.roll(-int(objective.pointer), dims=0), expected)


def test_the_loss_leaves_the_state_alone(objective):
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.loss(outputs_of(5), None)
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_gradients_taken_after_the_queue_moved_are_those_of_the_queue_before(objective):
    moved, still = outputs_of(5), outputs_of(5)
    untouched = copy.deepcopy(objective)
    loss = objective.loss(moved, None)
    objective.after_loss(moved, None)
    loss.backward()
    untouched.loss(still, None).backward()
    assert torch.equal(moved.z[0].grad, still.z[0].grad)


def test_a_step_never_waits_for_the_device(objective, backbone):
    with CountReads() as counter:
        outputs = objective(backbone, images())
        objective.loss(outputs, None).backward()
        objective.after_loss(outputs, None)
        objective.after_step(backbone, Moment(0, 0, 1, 10))
    assert counter.reads == 0


def test_a_distillation_receives_unit_rows(objective):
    torch.testing.assert_close(objective.distilled(3 * rows(5)), rows(5))


def test_the_momentum_network_starts_as_a_copy_and_is_not_trained(objective, backbone):
    outputs = objective(backbone, images())
    assert all(torch.equal(z, target) for z, target in zip(outputs.z, outputs.targets, strict=True))
    assert not any(target.requires_grad for target in outputs.targets)
    trained = {id(p) for group in objective.groups() for p in group.parameters}
    assert trained == {id(p) for p in objective.projector.parameters()}


@pytest.mark.parametrize(("step", "tau"), [(0, 0.9), (5, 0.95), (10, 1.0)])
def test_the_momentum_network_follows_on_a_half_cosine(objective, backbone, step, tau):
    online, average = objective.projector[0].weight, objective.momentum.projector[0].weight
    start = average.clone()
    with torch.no_grad():
        online.add_(1)
    objective.after_step(backbone, Moment(0, step, 1, 10))
    torch.testing.assert_close(average, start + (1 - tau))


def test_a_task_boundary_carries_queue_pointer_and_momentum_network(objective):
    objective.after_loss(outputs_of(4), None)
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.begin_task(TaskStart(1, 0, lambda: None))
    assert {"queue", "pointer", "momentum.projector.0.weight"} <= before.keys()
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_a_restored_objective_goes_on_bit_for_bit(objective, backbone):
    objective.after_loss(outputs_of(4, seed=1), None)
    other = ReSSL(SETTINGS, backbone, 10)
    other.load_state_dict(objective.state_dict(), strict=True)
    for module in (objective, other):
        module.after_loss(outputs_of(5, seed=2), None)
    assert torch.equal(objective.queue, other.queue)
    assert torch.equal(objective.pointer, other.pointer)
    assert objective.loss(outputs_of(5), None) == other.loss(outputs_of(5), None)


def test_a_state_with_another_length_of_queue_is_refused(objective, backbone):
    longer = ReSSL(SETTINGS.model_copy(update={"queue_size": QUEUE + 1}), backbone, 10)
    with pytest.raises(RuntimeError, match="size mismatch for queue"):
        longer.load_state_dict(objective.state_dict())
