"""The buffer: a fair sample of the past and nothing of the future; draws that a step's generator decides."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.core.random import generator
from cassle.strategies.base import TaskEnd
from cassle.strategies.buffers import ReplaySettings, ReplayStrategy, kept_rows
from cassle.strategies.lump import LUMP

untimed = settings(deadline=None)


def end_of(task, images, seed=0):
    """The end of a task whose images are given by position; a buffer needs nothing else of it."""
    return TaskEnd(None, task, seed, 8, torch.as_tensor(images), None, None, None)


def buffer(**given):
    return ReplayStrategy(ReplaySettings(**given), None)


def chain(sizes, seed=0, **given):
    """The memories after tasks of so many images each; images are numbered through."""
    kept, memories, start = buffer(**given), [], 0
    for task, size in enumerate(sizes):
        images = torch.arange(start, start + size)
        memories.append(kept.build_memory(end_of(task, images, seed), memories[-1] if memories else {}))
        start += size
    return memories


def test_reservoir_sampling_keeps_every_image_with_the_same_chance_whatever_its_task():
    runs, counts = 1000, torch.zeros(60)
    for seed in range(runs):
        counts[chain([20, 10, 30], seed, buffer_size=12)[-1]["positions"]] += 1
    # 12 of 60 images: a chance of 0.2, five standard deviations of a mean over 1000 runs are 0.063
    assert (counts / runs - 0.2).abs().max() < 0.063
    assert counts.sum() == 12 * runs


def test_a_sample_of_a_sample_is_what_one_draw_from_everything_would_keep():
    keys, tasks = torch.rand(60, dtype=torch.float64), torch.zeros(60, dtype=torch.long)
    once = kept_rows(keys, tasks, 7, "reservoir")
    first = kept_rows(keys[:40], tasks[:40], 7, "reservoir")
    joined = torch.cat([first, torch.arange(40, 60)])
    assert torch.equal(joined[kept_rows(keys[joined], tasks[joined], 7, "reservoir")], once)


def test_which_images_of_a_task_stay_tells_nothing_of_which_of_another_one_do():
    keys = chain([40, 40], buffer_size=80)[-1]["keys"]
    assert len(set(keys.tolist())) == 80


@pytest.mark.parametrize(("size", "shares"), [(12, [4, 4, 4]), (14, [5, 5, 4]), (2, [1, 1, 0]), (0, [0, 0, 0])])
def test_a_uniform_buffer_gives_each_task_the_same_share(size, shares):
    memory = chain([20, 10, 30], selection="uniform", buffer_size=size)[-1]
    assert [int((memory["tasks"] == task).sum()) for task in range(3)] == shares


@untimed
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(0, 20),
    st.sampled_from(["reservoir", "uniform"]),
    st.integers(0, 99),
)
def test_a_buffer_holds_images_of_past_tasks_once_each_and_never_too_many(sizes, size, selection, seed):
    seen = 0
    for task, memory in enumerate(chain(sizes, seed, buffer_size=size, selection=selection)):
        seen += sizes[task]
        held = memory["positions"].tolist()
        assert len(held) == len(set(held)) <= size
        assert all(position < seen for position in held)
        owners = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        assert torch.equal(memory["tasks"], owners[memory["positions"]])
        if selection == "reservoir":
            assert len(held) == min(size, seen)


def test_what_is_kept_depends_on_the_seed_alone():
    one, same, other = (chain([30, 30], seed, buffer_size=9)[-1]["positions"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def held(count, **given):
    made = buffer(**given)
    made.load_memory({"positions": torch.arange(100, 100 + count)})
    return made


def test_an_empty_buffer_replays_nothing():
    assert buffer().replay(4, generator(0)) is None
    assert held(0).replay(4, generator(0)) is None


@pytest.mark.parametrize(
    ("count", "own", "size", "expected"), [(50, 8, None, 8), (50, 8, 3, 3), (5, 8, None, 5), (5, 8, 20, 5)]
)
def test_as_many_rows_are_replayed_as_own_ones_or_as_asked_for_or_as_there_are(count, own, size, expected):
    rows = held(count, replay_size=size).replay(own, generator(0)).tolist()
    assert len(rows) == len(set(rows)) == expected
    assert set(rows) <= set(range(100, 100 + count))


def test_draws_are_decided_by_the_generator():
    one, same, other = (held(50).replay(8, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", [ReplayStrategy, LUMP])
def test_positions_are_brought_once_to_where_rows_are_drawn(monkeypatch, kind):
    made = kind(kind.Settings(), None)
    made.load_memory({"positions": torch.arange(100, 150)})
    moved = []
    copy = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: moved.append(device) or copy(self, device))
    rows = [made.replay(8, generator(seed)) for seed in range(3)]
    assert moved == [torch.device("cpu")]
    assert all(len(drawn) == 8 and int(drawn.min()) >= 100 for drawn in rows)
    made.load_memory({"positions": torch.arange(200, 250)})
    assert int(made.replay(8, generator(0)).min()) >= 200


def test_a_buffer_is_no_part_of_a_checkpoint():
    assert held(5).state_dict() == {}


@pytest.mark.parametrize("given", [{"buffer_size": -1}, {"selection": "balanced"}, {"replay_size": 1}])
def test_impossible_settings_are_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        parse(ReplaySettings, given, "strategy er")
