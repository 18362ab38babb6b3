"""MoCo V2+: closed forms, queues that hold the latest keys, and what a task boundary carries."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment, TaskStart
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


def images(n: int = 5) -> list[Tensor]:
    return list(torch.randn(2, n, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


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


def test_queues_start_with_different_unit_columns(objective):
    torch.testing.assert_close(objective.queue.norm(dim=1), torch.ones(2, QUEUE))
    assert not torch.equal(objective.queue[0], objective.queue[1])
    assert objective.pointer == 0


def test_a_view_is_contrasted_with_key_and_queue_of_the_other_view(objective):
    outputs = outputs_of(5)
    q1, q2, k1, k2 = (F.normalize(tensor, dim=1) for tensor in (*outputs.z, *outputs.targets))
    expected = (moco_loss(q1, k2, objective.queue[1], T) + moco_loss(q2, k1, objective.queue[0], T)) / 2
    assert objective.loss(outputs, None) == expected


def test_queues_hold_the_latest_keys_in_the_order_they_came(objective):
    start = objective.queue.clone()
    first, second = outputs_of(4, seed=1), outputs_of(4, seed=2)
    for outputs in (first, second):
        objective.after_loss(outputs, None)
    for view in range(2):
        old, new = (F.normalize(outputs.targets[view], dim=1).T for outputs in (first, second))
        expected = torch.cat([new[:, 2:], old[:, 2:], new[:, :2]], dim=1)
        assert torch.equal(objective.queue[view], expected)
    assert objective.pointer == 2
    assert objective.queue.shape == start.shape


def test_columns_that_are_not_written_yet_stay(objective):
    start = objective.queue.clone()
    objective.after_loss(outputs_of(4), None)
    assert torch.equal(objective.queue[:, :, 4:], start[:, :, 4:])


@pytest.mark.parametrize("n", [QUEUE, QUEUE + 3, 2 * QUEUE + 1])
def test_a_batch_as_long_as_the_queue_or_longer_leaves_its_last_rows(objective, n):
    outputs = outputs_of(n)
    objective.after_loss(outputs_of(4, seed=3), None)
    objective.after_loss(outputs, None)
    for view in range(2):
        expected = F.normalize(outputs.targets[view][-QUEUE:], dim=1).T
        assert torch.equal(objective.queue[view].roll(-int(objective.pointer), dims=1), expected)


def test_the_loss_leaves_the_state_alone(objective):
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.loss(outputs_of(5), None)
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())


def test_gradients_taken_after_the_queues_moved_are_those_of_the_queues_before(objective):
    moved, still = outputs_of(5), outputs_of(5)
    untouched = copy.deepcopy(objective)
    loss = objective.loss(moved, None)
    with torch.no_grad():
        objective.after_loss(moved, None)
    loss.backward()
    untouched.loss(still, None).backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(moved.z, still.z, strict=True))


class CountReads(TorchDispatchMode):
    """Counts how often a value is read back from the device."""

    reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return func(*args, **(kwargs or {}))


def test_a_step_never_waits_for_the_device(objective, backbone):
    with CountReads() as counter:
        outputs = objective(backbone, images())
        objective.loss(outputs, None).backward()
        with torch.no_grad():
            objective.after_loss(outputs, None)
        objective.after_step(backbone, Moment(0, 0, 1, 10))
    assert counter.reads == 0


def test_a_distillation_receives_unit_rows(objective):
    torch.testing.assert_close(objective.distilled(3 * rows(5)), F.normalize(rows(5), dim=1))


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


def test_a_task_boundary_carries_queues_pointer_and_momentum_network(objective):
    objective.after_loss(outputs_of(4), None)
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    objective.begin_task(TaskStart(1, 0, lambda: None))
    after = objective.state_dict()
    assert {"queue", "pointer", "momentum.projector.0.weight"} <= after.keys()
    assert all(torch.equal(value, before[key]) for key, value in after.items())


def test_a_restored_objective_goes_on_bit_for_bit(objective, backbone):
    objective.after_loss(outputs_of(4, seed=1), None)
    other = MoCoV2Plus(objective.settings, backbone, 10)
    other.load_state_dict(objective.state_dict())
    for module in (objective, other):
        module.after_loss(outputs_of(5, seed=2), None)
    assert objective.loss(outputs_of(5), None) == other.loss(outputs_of(5), None)
    assert torch.equal(objective.pointer, other.pointer)


def test_a_state_with_another_length_of_queue_is_refused(objective, backbone):
    settings = objective.settings.model_copy(update={"queue_size": QUEUE + 1})
    with pytest.raises(RuntimeError, match="size mismatch for queue"):
        MoCoV2Plus(settings, backbone, 10).load_state_dict(objective.state_dict())
