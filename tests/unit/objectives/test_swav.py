"""SwAV: assignments that use all prototypes alike, the loss in closed form, queues, and prototypes that wait."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment, TaskStart
from cassle.objectives.swav import SwAV, SwAVSettings, sinkhorn, swav_loss
from cassle.tensors.outputs import Outputs
from tests.unit.objectives.reads import CountReads

DIM, COUNT, QUEUE = 4, 6, 7


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def make(backbone):
    """Function from settings to an objective of small sizes."""

    def make(**settings):
        sizes = {"hidden_dim": 8, "output_dim": DIM, "num_prototypes": COUNT, "queue_size": QUEUE}
        return SwAV(SwAVSettings(**{**sizes, "epoch_queue_starts": 2, **settings}), backbone, 10)

    return make


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def epoch(number):
    return Moment(epoch=number, step=10 * number, epochs=5, steps=50)


def outputs_of(objective, n=5, seed=0):
    z = [drawn(n, DIM, seed=2 * seed + view, dtype=torch.float32).requires_grad_() for view in (0, 1)]
    return Outputs([], z, [objective.prototype_scores(view) for view in z])


def images(n=5):
    return list(drawn(2, n, 3, 8, 8, dtype=torch.float32))


def state(objective):
    return {name: value.clone() for name, value in objective.state_dict().items()}


# Assignments


def test_assignments_of_an_image_sum_to_1_and_prototypes_are_used_alike():
    found = sinkhorn(drawn(12, 4), epsilon=0.5, iterations=200)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(found.sum(dim=0), torch.full((4,), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("iterations", [1, 3])
def test_images_alike_share_all_prototypes_equally(iterations):
    scores = drawn(1, 5).expand(8, 5)
    torch.testing.assert_close(sinkhorn(scores, 0.05, iterations), torch.full((8, 5), 0.2, dtype=torch.float64))


def test_images_nearest_to_different_prototypes_get_them():
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(sinkhorn(torch.eye(4)[order], 0.01, 3), torch.eye(4)[order])


def test_a_prototype_that_all_images_prefer_is_shared():
    scores = drawn(6, 3)
    torch.testing.assert_close(sinkhorn(scores + torch.tensor([9.0, 0, 0]), 0.5, 3), sinkhorn(scores, 0.5, 3))


def test_the_order_of_images_and_prototypes_and_a_constant_do_not_matter():
    scores, rows, columns = drawn(6, 4), torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 3, 1])
    expected = sinkhorn(scores, 0.1, 3)
    torch.testing.assert_close(sinkhorn(scores[rows][:, columns], 0.1, 3), expected[rows][:, columns])
    torch.testing.assert_close(sinkhorn(scores + 5, 0.1, 3), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e2, 3e4])
def test_large_scores_overflow_in_no_precision(dtype, size):
    scores = (drawn(16, 5).clamp(-2, 2) * size).to(dtype)
    found = sinkhorn(scores, 0.05, 3)
    assert found.dtype == (dtype if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.sum(dim=1), torch.ones_like(found[:, 0]))


def test_rows_that_are_not_present_weigh_nothing():
    scores, strangers = drawn(6, 4), drawn(3, 4, seed=1)
    present = torch.tensor([True] * 6 + [False] * 3)
    torch.testing.assert_close(sinkhorn(torch.cat([scores, strangers]), 0.1, 3, present)[:6], sinkhorn(scores, 0.1, 3))


# Loss


def test_scores_that_say_nothing_cost_the_logarithm_of_the_number_of_prototypes():
    assignments = [F.one_hot(torch.tensor([0, 2, 1]), 4).double() for _ in range(2)]
    assert swav_loss([torch.zeros(3, 4).double()] * 2, assignments, 0.1).item() == pytest.approx(math.log(4))


def test_identical_views_that_score_one_prototype_highest():
    scores = torch.eye(4, dtype=torch.float64)
    loss = swav_loss([scores] * 2, [scores] * 2, 0.5).item()
    assert loss == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.5)))


def test_the_loss_is_the_mean_over_pairs_of_an_assigned_view_and_another_view():
    scores, assignments = list(drawn(3, 5, 4)), [drawn(5, 4, seed=s).softmax(dim=1) for s in (1, 2)]
    expected = [
        -(assignments[i] * (scores[j] / 0.2).log_softmax(dim=1)).sum(dim=1).mean()
        for i, j in [(0, 1), (0, 2), (1, 0), (1, 2)]
    ]
    torch.testing.assert_close(swav_loss(scores, assignments, 0.2), torch.stack(expected).mean())


def test_the_same_images_in_another_order_give_the_same_loss(make):
    objective, order = make().double(), torch.tensor([3, 0, 4, 1, 2])
    z = [drawn(5, DIM, seed=view) for view in (0, 1)]
    one, other = (Outputs([], v, [objective.prototype_scores(x) for x in v]) for v in (z, [x[order] for x in z]))
    torch.testing.assert_close(objective.loss(one, None), objective.loss(other, None))


def test_a_view_is_asked_for_the_assignment_of_the_other(make):
    objective = make(temperature=0.3)
    outputs = outputs_of(objective)
    first, second = (sinkhorn(scores.detach(), 0.05, 3) for scores in outputs.p)
    expected = (F.cross_entropy(outputs.p[1] / 0.3, first) + F.cross_entropy(outputs.p[0] / 0.3, second)) / 2
    torch.testing.assert_close(objective.loss(outputs, None), expected)


def test_of_many_views_the_first_two_are_assigned_and_remembered(make):
    objective = make(queue_size=5)
    z = list(drawn(4, 5, DIM, dtype=torch.float32))
    outputs = Outputs([], z, [objective.prototype_scores(view) for view in z])
    expected = swav_loss(outputs.p, objective.assignments(outputs.p[:2]), 0.1)
    assert torch.equal(objective.loss(outputs, None), expected)
    with torch.no_grad():
        objective.after_loss(outputs, None)
    assert torch.equal(objective.queue, F.normalize(torch.stack(z[:2]), dim=2))


# Prototypes


@pytest.mark.parametrize(("kind", "names"), [("normalized", {"direction"}), ("free", {"direction", "gain"})])
def test_prototypes_have_length_1_unless_they_are_free(make, kind, names):
    prototypes = make(prototypes=kind).prototypes
    assert {name for name, _ in prototypes.named_parameters()} == names
    lengths = prototypes.matrix().norm(dim=1)
    assert torch.allclose(lengths, torch.ones(COUNT)) == (kind == "normalized")


def test_the_scores_of_a_view_are_those_of_its_normalized_projection(make, backbone):
    objective = make()
    outputs = objective(backbone, images())
    for z, p in zip(outputs.z, outputs.p, strict=True):
        torch.testing.assert_close(p, F.normalize(z, dim=1) @ objective.prototypes.matrix().T)


@pytest.mark.parametrize(("number", "frozen"), [(0, True), (1, True), (2, False), (4, False)])
def test_prototypes_get_no_gradient_in_the_first_epochs_of_a_task(make, backbone, number, frozen):
    objective = make(freeze_prototypes_epochs=2, prototypes="free")
    objective.loss(objective(backbone, images()), None).backward()
    objective.after_backward(epoch(number))
    assert all((p.grad is None) == frozen for p in objective.prototypes.parameters())
    assert all(p.grad is not None for p in objective.projector.parameters())


# Queues


def test_queues_hold_the_latest_unit_projections_of_their_view_first(make):
    objective = make()
    first, second = outputs_of(objective, 5, seed=1), outputs_of(objective, 4, seed=2)
    for outputs in (first, second):
        with torch.no_grad():
            objective.after_loss(outputs, None)
    for view in range(2):
        expected = torch.cat([second.z[view], first.z[view]])[:QUEUE]
        assert torch.equal(objective.queue[view], F.normalize(expected, dim=1))


def test_of_a_batch_longer_than_the_queue_its_first_rows_stay(make):
    objective = make()
    with torch.no_grad():
        objective.after_loss(outputs := outputs_of(objective, QUEUE + 2), None)
    assert torch.equal(objective.queue[0], F.normalize(outputs.z[0][:QUEUE], dim=1))


def filled(objective, seed=5):
    with torch.no_grad():
        objective.after_loss(outputs_of(objective, QUEUE, seed=seed), None)
    return objective


def test_a_task_boundary_empties_the_queues_and_carries_prototypes_and_projector(make):
    objective = filled(make())
    before = state(objective)
    objective.begin_task(TaskStart(1, 0, lambda: None))
    changed = {name for name, value in objective.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"queue"}
    assert not objective.queue.any()


@pytest.mark.parametrize(("number", "used"), [(0, False), (1, False), (2, True), (4, True)])
def test_queues_take_part_from_their_epoch_on(make, number, used):
    objective, empty = filled(make()), make()
    empty.load_state_dict({**objective.state_dict(), "queue": torch.zeros(2, QUEUE, DIM)})
    outputs = outputs_of(objective)
    for either in (objective, empty):
        either.begin_epoch(epoch(number))
    assert torch.equal(objective.loss(outputs, None), empty.loss(outputs, None)) != used


def test_each_view_is_assigned_along_with_its_own_queue(make):
    objective = filled(make())
    objective.begin_epoch(epoch(2))
    outputs = outputs_of(objective)
    found = objective.assignments(outputs.p)
    for view in range(2):
        together = torch.cat([outputs.p[view], objective.prototypes(objective.queue[view])])
        torch.testing.assert_close(found[view], sinkhorn(together, 0.05, 3)[:5])


def test_rows_of_a_queue_that_are_still_empty_change_no_assignment(make):
    objective = make()
    outputs = outputs_of(objective)
    before = objective.assignments(outputs.p)
    objective.begin_epoch(epoch(2))
    for one, other in zip(objective.assignments(outputs.p), before, strict=True):
        torch.testing.assert_close(one, other)


def test_there_may_be_no_queue_at_all(make):
    objective = filled(make(queue_size=0, epoch_queue_starts=0))
    objective.begin_epoch(epoch(0))
    assert objective.loss(outputs_of(objective), None).isfinite()


def test_the_loss_leaves_the_state_alone(make):
    objective = filled(make())
    objective.begin_epoch(epoch(2))
    before = state(objective)
    objective.loss(outputs_of(objective), None)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_gradients_taken_after_the_queues_moved_are_those_of_the_queues_before(make):
    gradients = []
    for moves in (True, False):
        torch.manual_seed(0)
        objective = filled(make())
        objective.begin_epoch(epoch(2))
        outputs = outputs_of(objective)
        loss = objective.loss(outputs, None)
        if moves:
            with torch.no_grad():
                objective.after_loss(outputs, None)
        loss.backward()
        gradients.append([z.grad for z in outputs.z])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("number", [0, 2])
def test_a_step_never_waits_for_the_device(make, backbone, number):
    objective = make()
    objective.begin_epoch(epoch(number))
    with CountReads() as counter:
        outputs = objective(backbone, images())
        objective.loss(outputs, None).backward()
        with torch.no_grad():
            objective.after_loss(outputs, None)
        objective.after_backward(epoch(number))
        objective.after_step(backbone, epoch(number))
    assert counter.reads == 0


def test_a_restored_objective_goes_on_bit_for_bit(make):
    objective, other = filled(make()), make()
    other.load_state_dict(copy.deepcopy(objective.state_dict()), strict=True)
    for either in (objective, other):
        either.begin_epoch(epoch(3))
        filled(either, seed=6)
    assert torch.equal(objective.loss(outputs_of(objective), None), other.loss(outputs_of(other), None))


@pytest.mark.parametrize("change", [{"queue_size": QUEUE + 1}, {"num_prototypes": COUNT + 1}, {"prototypes": "free"}])
def test_a_state_of_other_sizes_or_prototypes_is_refused(make, change):
    with pytest.raises(RuntimeError, match=r"queue|prototypes\.(direction|gain)"):
        make(**change).load_state_dict(make().state_dict())
