"""DER: what the network once made of an image is matched, apart from the objective."""

import copy

import pytest
import torch

from cassle.core.random import generator
from cassle.objectives.barlow_twins import BarlowTwins, BarlowTwinsSettings
from cassle.strategies.base import TaskEnd
from cassle.strategies.der import DarkExperienceReplay, DERSettings, der_loss
from tests.unit.strategies.world import trained


def test_the_loss_is_the_mean_squared_error_to_the_stored_outputs():
    stored = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    one, two = stored + torch.tensor([[1.0, 0.0], [0.0, 2.0]]), stored.clone()
    # squares 1, 0, 0, 4 over 4 entries in one view, none in the other
    assert der_loss([one, two], stored).item() == pytest.approx((5 / 4 + 0) / 2)
    assert der_loss([stored], stored).item() == 0


@pytest.fixture
def end_of(model, batch):
    """Function from task, positions and an offset of all features to the end of a task."""

    def make(task, positions, offset=0.0, model=model):
        positions = torch.as_tensor(positions)

        def features(chosen):
            return chosen[:, None] * torch.ones(32) + offset

        return TaskEnd(copy.deepcopy(model), task, 0, 4, positions, features, None, None)

    return make


def test_outputs_are_those_of_the_task_that_an_image_belongs_to(model, end_of):
    strategy = DarkExperienceReplay(DERSettings(buffer_size=100), model)
    first = strategy.build_memory(end_of(0, [8, 3, 5]), {})
    second = strategy.build_memory(end_of(1, [1, 9], offset=0.5), first)
    assert second["positions"].tolist() == [1, 3, 5, 8, 9]
    assert second["outputs"][:, 0].tolist() == [1.5, 3.0, 5.0, 8.0, 9.5]
    assert second["tasks"].tolist() == [1, 0, 0, 0, 1]


def test_a_full_buffer_keeps_each_image_with_its_own_output(model, end_of):
    strategy, memory = DarkExperienceReplay(DERSettings(buffer_size=7), model), {}
    for task in range(4):
        memory = strategy.build_memory(end_of(task, torch.randperm(10) + 10 * task), memory)
        assert torch.equal(memory["outputs"][:, 5], memory["positions"].float())
        assert len(memory["positions"]) == 7


def test_projections_can_be_stored_instead_each_of_its_image_alone(model_of, end_of):
    model = model_of(BarlowTwins, BarlowTwinsSettings(hidden_dim=8, output_dim=4))
    strategy = DarkExperienceReplay(DERSettings(output="projections"), model)
    end = end_of(0, [0, 1], model=model)
    end.model.train()
    stored = strategy.build_memory(end, {})["outputs"]
    with torch.no_grad():
        expected = model.eval().objective.project(torch.tensor([[0.0], [1.0]]) * torch.ones(32))
    torch.testing.assert_close(stored, expected)


def test_the_objective_sees_own_rows_only():
    done = trained("simclr", {"name": "der", "buffer_size": 10})
    for step in done.steps:
        assert len(step.batch.index) == len(step.views[0]) == 8
        assert not step.batch.is_replay.any()
        assert len(step.batch.aside.index) == 8
        assert [view.shape for view in step.batch.aside.views] == [view.shape for view in step.views]


def test_the_penalty_is_alpha_times_the_distance_of_the_replayed_rows_as_a_batch_of_their_own():
    done = trained("simclr", {"name": "der", "buffer_size": 10, "weight": 2.0})
    step, stored = done.steps[-1], dict(zip(done.memory["positions"].tolist(), done.memory["outputs"], strict=True))
    expected = torch.stack([stored[position] for position in step.batch.aside.index.tolist()])
    outputs = [done.model.backbone(view) for view in step.batch.aside.views]
    torch.testing.assert_close(done.strategy.penalty(step), 2.0 * der_loss(outputs, expected))
    assert done.losses[0].penalty > 0


def test_nothing_is_replayed_where_it_weighs_nothing(model):
    memory = {"positions": torch.arange(9), "outputs": torch.zeros(9, 32)}
    for weight, replays in ((0.0, False), (0.1, True)):
        strategy = DarkExperienceReplay(DERSettings(weight=weight), model)
        strategy.load_memory(memory)
        assert (strategy.replay(4, generator(0)) is not None) == replays
