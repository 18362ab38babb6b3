"""Experience replay: replayed rows are rows like any other."""

import torch

from cassle.strategies.er import ExperienceReplay
from tests.unit.strategies.world import PER_TASK, trained


def test_the_objective_sees_own_and_replayed_rows():
    done = trained("simclr", {"name": "er", "buffer_size": 10})
    for step, losses in zip(done.steps, done.losses, strict=True):
        assert len(step.batch.index) == len(step.outputs.z[0]) == 16
        assert step.batch.is_replay.sum() == step.batch.replayed == 8
        assert torch.equal(step.model.objective.loss(step.outputs, step.batch), losses.objective)
        assert losses.penalty is None


def test_its_memory_is_positions_and_what_later_tasks_need_to_choose_again():
    memory = trained("simclr", {"name": "er", "buffer_size": 10}).memory
    assert {key: (value.dtype, len(value)) for key, value in memory.items()} == {
        "positions": (torch.long, 10),
        "tasks": (torch.long, 10),
        "keys": (torch.double, 10),
    }
    assert bool((memory["positions"] < PER_TASK).all())


def test_it_does_nothing_in_the_first_task():
    assert ExperienceReplay.shares_first_task
