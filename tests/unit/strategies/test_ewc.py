"""EWC: springs of the right stiffness at the right place; cases solved by hand."""

import copy
from dataclasses import replace

import pytest
import torch

from cassle.core.errors import CheckpointError
from cassle.objectives.simsiam import SimSiam, SimSiamSettings
from cassle.strategies.base import TaskEnd
from cassle.strategies.ewc import EWC, EWCSettings, ewc_penalty, flat, joined, protected, squared_gradients
from cassle.tensors.batch import Batch


def test_the_penalty_and_its_gradient():
    weights = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    center, fisher = torch.tensor([0.0, 2.0, 1.0]), torch.tensor([2.0, 5.0, 0.5])
    # 10 / 2 * (2 * 1 + 5 * 0 + 0.5 * 4) = 20; slope 10 * F * (theta - center)
    penalty = ewc_penalty(weights, center, fisher, 10.0)
    assert penalty.item() == 20
    penalty.backward()
    assert weights.grad.tolist() == [20.0, 0.0, 10.0]


def test_a_quadratic_task_comes_to_rest_between_its_own_optimum_and_the_old_one():
    # Old task a (theta - 1)^2 / 2 with a = (4, 0): its information about theta is its curvature. New task
    # (theta - 3)^2 / 2. With lambda 2 the sum is least at (3 + 2 a 1) / (1 + 2 a) = 11/9, and at 3 where a is 0.
    weights, fisher = torch.zeros(2, requires_grad=True), torch.tensor([4.0, 0.0])
    optimizer = torch.optim.SGD([weights], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ((weights - 3).square().sum() / 2 + ewc_penalty(weights, torch.ones(2), fisher, 2.0)).backward()
        optimizer.step()
    torch.testing.assert_close(weights.detach(), torch.tensor([11 / 9, 3.0]))


def rows(values):
    """A batch of images that are single numbers."""
    images = torch.tensor(values).view(-1, 1, 1, 1)
    index = torch.arange(len(values))
    return Batch(index, images, index, 0, index < 0, torch.Generator())


def test_information_is_batch_size_times_the_mean_square_of_a_batchs_gradient():
    weight, unused = torch.tensor([5.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    # the loss of a batch is w times its mean: gradients 2 and -3 for w, so B * (4 + 9) / 2 = 2 * 6.5
    found = squared_gradients(
        lambda batch: (weight * batch.images).mean(), [rows([1.0, 3.0]), rows([-2.0, -4.0])], [weight, unused]
    )
    assert found.tolist() == [13.0, 0.0]


def test_information_of_a_mean_over_independent_images_does_not_depend_on_the_batch_size():
    torch.manual_seed(0)
    images, weight = torch.randn(6000).double(), torch.ones(1, dtype=torch.double, requires_grad=True)

    def information(size):
        batches = [rows(part.tolist()) for part in images.split(size)]
        return squared_gradients(lambda batch: (weight * batch.images).mean(), batches, [weight]).item()

    # gradients of single images have variance 1; for B = 1, 4 and 20 the estimate's own deviation is below 0.09
    assert [information(size) for size in (1, 4, 20)] == pytest.approx([1.0] * 3, abs=0.3)


def test_two_springs_are_one_but_for_a_constant():
    old, old_center = torch.tensor([1.0, 0.0, 3.0, 0.0]), torch.tensor([2.0, 7.0, 1.0, 1.0])
    new, center_of_new = torch.tensor([3.0, 2.0, 0.0, 0.0]), torch.tensor([6.0, 5.0, 9.0, 4.0])
    total, center = joined(old, old_center, new, center_of_new)
    assert total.tolist() == [4.0, 2.0, 3.0, 0.0]
    assert center.tolist() == [5.0, 5.0, 1.0, 4.0]
    apart = [
        ewc_penalty(point, old_center, old, 2.0) + ewc_penalty(point, center_of_new, new, 2.0)
        for point in torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    ]
    together = [
        ewc_penalty(point, center, total, 2.0)
        for point in torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    ]
    constants = torch.stack(apart) - torch.stack(together)
    torch.testing.assert_close(constants, constants[:1].expand(5))


@pytest.fixture
def end_of(model, batch):
    """Function from a task and a factor on all weights to its end; batches are the six images, twice."""

    def make(task=0, scale=1.0):
        trained = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in trained.parameters():
                parameter.mul_(scale)

        def batches(size):
            assert size == 6
            yield from [replace(batch, generator=torch.Generator().manual_seed(n)) for n in range(2)]

        def views(drawn):
            return [torch.randn(6, 3, 8, 8, generator=drawn.generator) for _ in range(2)]

        return TaskEnd(trained, task, 0, 6, batch.index, None, batches, views)

    return make


def ewc(model, **given):
    return EWC(EWCSettings(**given), model)


def test_the_memory_is_information_and_weights_of_backbone_and_projector(model, end_of):
    end = end_of()
    before = {key: value.clone() for key, value in end.model.state_dict().items()}
    memory = ewc(model).build_memory(end, {})
    count = sum(p.numel() for part in (model.backbone, model.objective.projector) for p in part.parameters())
    assert {key: value.shape for key, value in memory.items()} == {"fisher": (count,), "center": (count,)}
    assert torch.equal(memory["center"], flat(protected(end.model)))
    assert (memory["fisher"] >= 0).all()
    assert memory["fisher"].max() > 0
    assert all(torch.equal(value, before[key]) for key, value in end.model.state_dict().items())
    assert all(parameter.grad is None for parameter in end.model.parameters())


def test_it_is_the_mean_square_of_gradients_of_the_objectives_loss(model, end_of):
    end, found = end_of(), []
    for batch in end.batches(6):
        trained = copy.deepcopy(end.model)
        trained.objective.loss(trained(end.draw_views(batch)), batch).backward()
        found.append(6 * flat([p.grad for p in protected(trained)]).square())
    torch.testing.assert_close(ewc(model).build_memory(end, {})["fisher"], (found[0] + found[1]) / 2)


def test_the_mode_of_batchnorm_and_the_number_of_batches_are_settings(model, end_of):
    batch, frozen, one = (
        ewc(model, **given).build_memory(end_of(), {})["fisher"]
        for given in ({}, {"fisher_batchnorm": "frozen"}, {"fisher_batches": 1})
    )
    assert not torch.allclose(batch, frozen)
    assert not torch.allclose(batch, one)


def test_after_two_tasks_there_are_two_springs_or_one_that_fades(model, end_of):
    first, alone = end_of(), ewc(model).build_memory(end_of(1, 1.5), {})
    held = ewc(model).build_memory(first, {})
    both = ewc(model).build_memory(end_of(1, 1.5), held)
    total, center = joined(held["fisher"], held["center"], alone["fisher"], alone["center"])
    assert torch.equal(both["fisher"], total)
    assert torch.equal(both["center"], center)
    online = ewc(model, variant="online", gamma=0.5).build_memory(end_of(1, 1.5), held)
    torch.testing.assert_close(online["fisher"], 0.5 * held["fisher"] + alone["fisher"])
    assert torch.equal(online["center"], alone["center"])


def test_the_step_adds_the_springs_energy(model, step_of, end_of):
    strategy = ewc(model, weight=3.0, max_stiffness=None)
    assert strategy.penalty(step_of(model)) is None
    memory = strategy.build_memory(end_of(0, 1.1), {})
    strategy.load_memory(memory)
    expected = 1.5 * (memory["fisher"] * (flat(protected(model)) - memory["center"]).square()).sum()
    torch.testing.assert_close(strategy.penalty(step_of(model)), expected)
    assert strategy.state_dict() == {}


@pytest.mark.parametrize(("limit", "stiffest"), [(1.0, 1.0), (0.5, 0.5), (None, 2e5)])
def test_no_spring_is_stiffer_than_the_limit(model, limit, stiffest):
    strategy, size = ewc(model, max_stiffness=limit), ewc(model).size
    fisher = torch.full((size,), 1e-3)
    fisher[0] = 1e4
    strategy.load_memory({"fisher": fisher, "center": torch.zeros(size)})
    torch.testing.assert_close(20 * strategy.fisher[:2], torch.tensor([stiffest, 0.02]))


@pytest.mark.parametrize(("limit", "stays"), [(1.0, True), (None, False)])
def test_gradient_descent_with_momentum_bears_the_stiffest_springs(model, limit, stays):
    # lr * lambda * F = 20 is beyond 2 (1 + 0.9) = 3.8
    strategy, size = ewc(model, max_stiffness=limit), ewc(model).size
    strategy.load_memory({"fisher": torch.ones(size), "center": torch.ones(size)})
    weights = torch.zeros(size, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=1.0, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        ewc_penalty(weights, strategy.center, strategy.fisher, strategy.settings.weight).backward()
        optimizer.step()
    assert torch.allclose(weights, torch.ones(size), atol=1e-3) == stays


def test_weights_that_are_not_trained_have_no_spring(model_of):
    model = model_of(SimSiam, SimSiamSettings(hidden_dim=8, output_dim=4))
    frozen = [p for p in model.objective.projector.parameters() if not p.requires_grad]
    assert frozen
    trained = [p for part in (model.backbone, model.objective.projector) for p in part.parameters() if p.requires_grad]
    assert ewc(model).size == sum(p.numel() for p in trained)
    loss = squared_gradients(lambda batch: flat(protected(model)).sum(), [rows([1.0])], protected(model))
    assert torch.equal(loss, torch.ones(ewc(model).size))


def test_a_memory_of_another_network_is_refused(model):
    with pytest.raises(CheckpointError, match="holds 3 weights, this network has"):
        ewc(model).load_memory({"fisher": torch.zeros(3), "center": torch.zeros(3)})
