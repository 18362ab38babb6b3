"""Every strategy trains with the objectives it was published for, and vanishes where its weight is 0."""

import pytest
import torch

from cassle.strategies.base import strategies
from tests.unit.strategies.world import PER_TASK, trained

NAMES = [name for name in strategies.names() if strategies.get(name).__module__.startswith("cassle.")]
VANISHING = [
    {"name": "cassle", "weight": 0},
    {"name": "ewc", "weight": 0},
    {"name": "er", "buffer_size": 0},
    {"name": "der", "weight": 0},
    {"name": "der", "buffer_size": 0},
    {"name": "lump", "mixing": 1},
    {"name": "lump", "buffer_size": 0},
    {"name": "less_forget", "weight": 0},
    {"name": "pod", "spatial_weight": 0, "flat_weight": 0},
    {"name": "feature_distillation", "weight": 0},
    {"name": "pfr", "weight": 0},
    {"name": "pnr", "weight": 0, "negative_weight": 0},
    {"name": "cassle+er", "cassle": {"weight": 0}, "er": {"buffer_size": 0}},
]


def test_all_eleven_of_them_are_there():
    published = {"finetune", "cassle", "ewc", "er", "der", "lump", "less_forget", "pod"}
    assert set(NAMES) >= published | {"feature_distillation", "pfr", "pnr"}


@pytest.mark.parametrize("objective", ["simclr", "barlow_twins", "byol"])
@pytest.mark.parametrize("name", [*NAMES, "cassle+er", "cassle+ewc", "pod+der", "pfr+lump"])
def test_two_tasks_are_trained_and_the_second_feels_the_first(name, objective):
    done = trained(objective, name)
    assert all(torch.isfinite(loss.total) for loss in done.losses)
    assert all(torch.isfinite(value).all() for value in done.model.state_dict().values())
    acts = [loss.penalty is not None for loss in done.losses]
    replays = any(step.batch.replayed or step.batch.aside for step in done.steps)
    assert all(acts) or replays or name in ("finetune", "lump")


@pytest.mark.parametrize("given", VANISHING, ids=lambda given: ",".join(map(str, given.values())))
def test_without_weight_memory_or_mixing_it_is_fine_tuning_to_the_bit(given, fine_tuned):
    weights = trained("byol", given).model.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in fine_tuned.items())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "finetune"])
def test_with_its_defaults_it_is_not_fine_tuning(name, fine_tuned):
    weights = trained("byol", name).model.state_dict()
    assert any(not torch.equal(weights[key], value) for key, value in fine_tuned.items())


@pytest.fixture(scope="module")
def fine_tuned():
    """The weights that fine-tuning leaves."""
    return trained("byol", "finetune").model.state_dict()


@pytest.mark.parametrize("name", ["er", "der", "lump", "cassle+er"])
def test_replayed_images_are_of_past_tasks(name):
    steps = trained("simclr", {"name": name} | ({} if "+" in name else {"buffer_size": 6})).steps
    for step in steps:
        seen = step.batch.aside.index if step.batch.aside else step.batch.index[step.batch.is_replay]
        assert bool((seen < PER_TASK).all())
        assert bool((step.batch.index[~step.batch.is_replay] >= PER_TASK).all())
