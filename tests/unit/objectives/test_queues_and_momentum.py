"""Objectives with a queue or a momentum network: which rows a queue holds, how networks follow, what a step leaves."""

import copy

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment, objectives
from cassle.tensors.outputs import Outputs
from tests.unit.objectives.reads import CountReads

DIM, QUEUE = 4, 6
SETTINGS = {
    "byol": {"hidden_dim": 8, "output_dim": DIM, "pred_hidden_dim": 6, "base_tau": 0.9},
    "dino": {"hidden_dim": 8, "output_dim": DIM, "num_prototypes": DIM, "base_tau": 0.9},
    "mocov2plus": {"hidden_dim": 6, "output_dim": DIM, "queue_size": QUEUE, "base_tau": 0.9},
    "nnclr": {"hidden_dim": 6, "output_dim": DIM, "pred_hidden_dim": 6, "queue_size": QUEUE},
    "ressl": {"hidden_dim": 6, "output_dim": DIM, "queue_size": QUEUE, "base_tau": 0.9},
}
TRAINED = {
    "byol": ("projector", "predictor"),
    "dino": ("projector", "prototypes"),
    "mocov2plus": ("projector",),
    "nnclr": ("projector", "predictor"),
    "ressl": ("projector",),
}
LARGER = {
    "dino": {"num_prototypes": DIM + 1},
    "mocov2plus": {"queue_size": QUEUE + 1},
    "nnclr": {"queue_size": QUEUE + 1},
    "ressl": {"queue_size": QUEUE + 1},
}
QUEUED = {
    "mocov2plus": lambda outputs: outputs.targets,
    "nnclr": lambda outputs: outputs.z[:1],
    "ressl": lambda outputs: outputs.targets[1:],
}
"""Objective -> the projections that enter each of its queues."""
EVERY = pytest.mark.parametrize("name", SETTINGS)
WITH_QUEUE = pytest.mark.parametrize("name", QUEUED)
WITH_MOMENTUM = pytest.mark.parametrize("name", ["byol", "dino", "mocov2plus", "ressl"])


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def make(backbone):
    """Function from a name and changed settings to an objective of small sizes."""

    def make(name, **changes):
        kind = objectives.get(name)
        return kind(kind.Settings(**{**SETTINGS[name], **changes}), backbone, 10)

    return make


def outputs_of(n, seed=0):
    """Return outputs of two views: projections and predictions with gradient, targets without."""
    draw = torch.Generator().manual_seed(seed)
    z1, z2, p1, p2, k1, k2 = (torch.randn(n, DIM, generator=draw) for _ in range(6))
    return Outputs([], [z1.requires_grad_(), z2.requires_grad_()], [p1.requires_grad_(), p2.requires_grad_()], [k1, k2])


def images(n=5):
    return list(torch.randn(2, n, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


def after_loss(objective, *all_outputs):
    with torch.no_grad():
        for outputs in all_outputs:
            objective.after_loss(outputs, None)


def queues(objective):
    """Return each queue of an objective as rows (K, D)."""
    return list(objective.queue.transpose(1, 2)) if objective.queue.dim() == 3 else [objective.queue]


def entries(name, outputs):
    """Return the unit rows that enter each queue."""
    return [F.normalize(rows.detach(), dim=1) for rows in QUEUED[name](outputs)]


def snapshot(tensors):
    return {name: tensor.detach().clone() for name, tensor in tensors}


def unchanged(tensors, before):
    return all(torch.equal(tensor, before[name]) for name, tensor in tensors)


# Queues


@WITH_QUEUE
def test_queues_start_with_different_unit_rows(make, name):
    objective = make(name)
    rows = torch.cat(queues(objective))
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    assert len(rows.unique(dim=0)) == len(rows) == QUEUE * len(queues(objective))
    assert objective.pointer == 0


@WITH_QUEUE
def test_a_queue_holds_the_latest_entries_in_their_order(make, name):
    objective, first, second = make(name), outputs_of(4, seed=1), outputs_of(4, seed=2)
    after_loss(objective, first, second)
    for queue, old, new in zip(queues(objective), entries(name, first), entries(name, second), strict=True):
        assert torch.equal(queue, torch.cat([new[2:], old[2:], new[:2]]))
    assert objective.pointer == 2


@WITH_QUEUE
def test_rows_of_a_queue_that_are_not_written_yet_stay(make, name):
    objective = make(name)
    start = [queue.clone() for queue in queues(objective)]
    after_loss(objective, outputs_of(4))
    assert all(torch.equal(queue[4:], before[4:]) for queue, before in zip(queues(objective), start, strict=True))


@WITH_QUEUE
@pytest.mark.parametrize("n", [QUEUE, QUEUE + 3, 2 * QUEUE + 1])
def test_a_batch_as_long_as_the_queue_or_longer_leaves_its_last_rows(make, name, n):
    objective, outputs = make(name), outputs_of(n)
    after_loss(objective, outputs_of(4, seed=3), outputs)
    for queue, rows in zip(queues(objective), entries(name, outputs), strict=True):
        assert torch.equal(queue.roll(-int(objective.pointer), dims=0), rows[-QUEUE:])


# Momentum networks


@WITH_MOMENTUM
def test_the_momentum_network_starts_as_a_copy_and_gets_no_gradient(make, backbone, name):
    objective = make(name)
    outputs = objective(backbone, images())
    online = outputs.p if name == "dino" else outputs.z
    assert all(torch.equal(own, target) for own, target in zip(online, outputs.targets, strict=True))
    assert not any(target.requires_grad for target in outputs.targets)
    objective.loss(outputs, None).backward()
    assert all(parameter.grad is None for parameter in objective.momentum.parameters())


@WITH_MOMENTUM
@pytest.mark.parametrize(("step", "tau"), [(0, 0.9), (5, 0.95), (10, 1.0)])
def test_the_parameters_of_the_momentum_network_follow_on_a_half_cosine(make, backbone, name, step, tau):
    objective = make(name)
    objective(backbone, images())
    online = [backbone, *(getattr(objective, part) for part in TRAINED[name])]
    with torch.no_grad():
        for parameter in (parameter for module in online for parameter in module.parameters()):
            parameter.add_(1)
    momentum, trained = objective.momentum, snapshot(backbone.state_dict().items())
    weights, statistics = snapshot(momentum.named_parameters()), snapshot(momentum.named_buffers())
    objective.after_step(backbone, Moment(epoch=0, step=step, epochs=2, steps=10))
    for parameter, weight in zip(momentum.parameters(), weights.values(), strict=True):
        torch.testing.assert_close(parameter.detach(), weight + (1 - tau))
    assert unchanged(momentum.named_buffers(), statistics)
    assert unchanged(backbone.state_dict().items(), trained)


@WITH_MOMENTUM
@pytest.mark.parametrize("training", [True, False])
def test_the_momentum_network_is_in_the_mode_of_the_objective(make, name, training):
    objective = make(name).train(training)
    assert {module.training for module in objective.momentum.modules()} == {training}


# Steps and checkpoints


@EVERY
def test_the_optimizer_gets_the_trained_heads_only(make, name):
    objective = make(name)
    (group,) = objective.groups()
    expected = {id(parameter) for part in TRAINED[name] for parameter in getattr(objective, part).parameters()}
    assert {id(parameter) for parameter in group.parameters} == expected
    assert (group.lr_scale, group.scheduled) == (1.0, True)


@EVERY
def test_a_loss_leaves_the_state_as_it_was(make, name):
    objective = make(name)
    before = snapshot(objective.state_dict().items())
    objective.loss(outputs_of(5), None)
    assert unchanged(objective.state_dict().items(), before)


@EVERY
def test_gradients_taken_after_the_state_moved_are_those_of_the_state_before(make, name):
    objective, moved, still = make(name), outputs_of(5), outputs_of(5)
    untouched = copy.deepcopy(objective)
    loss = objective.loss(moved, None)
    after_loss(objective, moved)
    loss.backward()
    untouched.loss(still, None).backward()
    found, expected = ([leaf.grad for leaf in (*outputs.z, *outputs.p)] for outputs in (moved, still))
    assert any(gradient is not None and gradient.any() for gradient in found)
    for gradient, other in zip(found, expected, strict=True):
        assert (gradient is None) == (other is None)
        assert gradient is None or torch.equal(gradient, other)


@EVERY
def test_a_step_never_waits_for_the_device(make, backbone, name):
    objective, moment = make(name), Moment(0, 0, 1, 10)
    objective.begin_epoch(moment)
    with CountReads() as counter:
        outputs = objective(backbone, images())
        objective.loss(outputs, None).backward()
        after_loss(objective, outputs)
        objective.after_backward(moment)
        objective.after_step(backbone, moment)
    assert counter.reads == 0


@EVERY
def test_a_restored_objective_continues_bit_for_bit(make, name):
    objective, other = make(name), make(name)
    after_loss(objective, outputs_of(4, seed=1))
    other.load_state_dict(objective.state_dict(), strict=True)
    for either in (objective, other):
        either.begin_epoch(Moment(1, 10, 5, 50))
        after_loss(either, outputs_of(5, seed=2))
    assert unchanged(other.state_dict().items(), snapshot(objective.state_dict().items()))
    assert torch.equal(objective.loss(outputs_of(5), None), other.loss(outputs_of(5), None))


@pytest.mark.parametrize("name", LARGER)
def test_a_state_of_another_size_is_refused(make, name):
    with pytest.raises(RuntimeError, match=r"size mismatch for (queue|center)"):
        make(name, **LARGER[name]).load_state_dict(make(name).state_dict())
