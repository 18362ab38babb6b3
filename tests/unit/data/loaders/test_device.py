"""Batches of a task: each a function of seed, task, epoch and step alone."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import DataError
from cassle.data.base import InMemory
from cassle.data.loaders.device import DeviceLoader
from cassle.data.loaders.rows import TaskRows
from cassle.runtime.distributed import RankShard

untimed = settings(deadline=None)
TOTAL = 60


def made_loader(count=23, batch_size=5, seed=0, task=1, replay=None):
    """A task of the last ``count`` of 60 images whose pixels, like their labels, tell their position."""
    number = torch.arange(TOTAL)
    pixels = number.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    images = InMemory(pixels, 100 + number, number % 2)
    return DeviceLoader(images, TaskRows(number[TOTAL - count :], number, batch_size, seed, task, replay))


def indices(loader, epoch):
    return [batch.index.tolist() for batch in loader.epoch(epoch)]


def equal(one, other):
    """The same rows, and generators that will draw the same views."""
    return (
        all(torch.equal(getattr(one, key), getattr(other, key)) for key in ("index", "images", "labels", "is_replay"))
        and one.task == other.task
        and torch.equal(one.generator.get_state(), other.generator.get_state())
    )


@untimed
@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 9), st.integers(0, 5))
def test_an_epoch_visits_images_of_its_task_once_at_most_in_full_batches(count, batch_size, seed, epoch):
    loader = made_loader(max(count, batch_size), batch_size, seed)
    visited = indices(loader, epoch)
    flat = [position for batch in visited for position in batch]
    assert len(visited) == loader.steps_per_epoch == max(count, batch_size) // batch_size
    assert all(len(batch) == batch_size for batch in visited)
    assert len(set(flat)) == len(flat)
    assert set(flat) <= set(loader.rows.indices.tolist())


def test_a_batch_holds_the_images_and_labels_of_its_positions():
    for batch in made_loader().epoch(0):
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.index)
        assert batch.images.dtype == torch.uint8
        assert torch.equal(batch.labels, 100 + batch.index)
        assert batch.task == 1
        assert batch.is_replay.tolist() == [False] * 5
        assert batch.replayed == 0


def past(count, generator):
    """Three of the images before the task's, drawn at random."""
    return torch.randperm(37, generator=generator)[:3]


def test_replayed_images_join_a_batch_behind_its_own():
    alone = list(made_loader().epoch(0))
    for batch, own in zip(made_loader(replay=past).epoch(0), alone, strict=True):
        assert torch.equal(batch.index[:5], own.index)
        assert bool((batch.index[5:] < 37).all())
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.index)
        assert torch.equal(batch.labels, 100 + batch.index)
        assert batch.is_replay.tolist() == [False] * 5 + [True] * 3
        assert batch.replayed == 3
        assert torch.equal(batch.generator.get_state(), own.generator.get_state())


def test_replayed_images_are_a_function_of_seed_task_epoch_and_step():
    whole = indices(made_loader(replay=past), 2)
    assert [batch.index.tolist() for batch in made_loader(replay=past).epoch(2, 1)] == whole[1:]
    rows = {tuple(batch[5:]) for epoch in (0, 1, 2) for batch in indices(made_loader(replay=past), epoch)}
    assert len(rows) == 12


def test_nothing_to_replay_leaves_batches_as_they_are():
    with_none = made_loader(replay=lambda count, generator: None).epoch(1)
    assert all(equal(one, other) for one, other in zip(with_none, made_loader().epoch(1), strict=True))


@pytest.mark.parametrize("batch_size", [2, 5])
def test_a_replay_is_asked_with_the_number_of_own_rows(batch_size):
    asked = []
    list(made_loader(batch_size=batch_size, replay=lambda count, generator: asked.append(count)).epoch(0))
    assert set(asked) == {batch_size}


def test_what_is_drawn_for_one_purpose_tells_nothing_of_what_is_drawn_for_another():
    rows = made_loader().rows
    first = {
        rows.generator(purpose, 0, 0).initial_seed() for purpose in ("order", "views", "online", "replay", "batch")
    }
    assert len(first) == 5


def test_images_left_out_of_an_epoch_have_their_turn_in_another():
    loader = made_loader(23, 5)
    visited = {position for epoch in range(10) for batch in indices(loader, epoch) for position in batch}
    assert visited == set(range(37, 60))


def test_the_order_depends_on_seed_task_and_epoch():
    orders = [
        indices(made_loader(seed=seed, task=task), epoch) for seed in (0, 1) for task in (0, 1) for epoch in (0, 1)
    ]
    assert all(one != other for place, one in enumerate(orders) for other in orders[:place])


def test_the_order_does_not_depend_on_what_ran_before():
    fresh = indices(made_loader(), 3)
    loader = made_loader()
    torch.manual_seed(99)
    for epoch in (0, 1):
        for batch in loader.epoch(epoch):
            torch.rand(3)
            torch.rand(3, generator=batch.generator)
    assert indices(loader, 3) == fresh


def test_drawing_batches_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    loader = made_loader()
    list(loader.epoch(0))
    loader.online_batch(0, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("first_step", [0, 1, 3, 4])
def test_an_epoch_begun_in_the_middle_gives_the_very_same_batches_from_there(first_step):
    whole = list(made_loader().epoch(2))
    rest = list(made_loader().epoch(2, first_step))
    assert len(rest) == 4 - first_step
    assert all(equal(one, other) for one, other in zip(rest, whole[first_step:], strict=True))


def test_every_batch_has_a_generator_of_its_own():
    loaders = [made_loader(seed=seed, task=task) for seed in (0, 1) for task in (0, 1)]
    batches = [batch for loader in loaders for epoch in (0, 1) for batch in loader.epoch(epoch)]
    draws = {tuple(torch.rand(4, generator=batch.generator).tolist()) for batch in batches}
    assert len(draws) == len(batches) == 32


def test_a_task_smaller_than_a_batch_is_refused_with_what_to_do():
    with pytest.raises(
        DataError, match=r"task 1 has 4 training images, fewer than one batch of 5; lower training\.bat"
    ):
        made_loader(4, 5)


def test_an_online_batch_draws_from_the_images_of_all_tasks():
    loader = made_loader(10, 5)
    drawn = set()
    for step in range(200):
        images, labels = loader.online_batch(0, step)
        assert images.shape == (5, 3, 2, 2)
        assert torch.equal(100 + images[:, 0, 0, 0].long(), labels)
        drawn |= set((labels - 100).tolist())
    # A thousand draws miss a given image of 60 with a chance of (59/60)^1000, below 1e-7.
    assert drawn == set(range(TOTAL))


def test_an_online_batch_is_a_function_of_epoch_and_step():
    loader = made_loader()
    one = loader.online_batch(1, 2)[1]
    list(loader.epoch(0))
    loader.online_batch(0, 0)
    assert torch.equal(made_loader().online_batch(1, 2)[1], one)
    others = [(made_loader(), 1, 3), (made_loader(), 0, 2), (made_loader(seed=1), 1, 2), (made_loader(task=2), 1, 2)]
    assert not any(torch.equal(other.online_batch(epoch, step)[1], one) for other, epoch, step in others)


@pytest.mark.parametrize("replay", [None, lambda count, generator: torch.randperm(30, generator=generator)[:count]])
def test_processes_share_the_batches_that_one_process_would_have(monkeypatch, replay):
    def batches(rank=0, size=1):
        monkeypatch.setattr("cassle.data.loaders.rows.RankShard", partial(RankShard, rank=rank, size=size))
        loader = made_loader(23, 6, replay=replay)
        return list(loader.epoch(1)), loader.online_batch(1, 2)

    whole, whole_online = batches()
    parts, onlines = zip(*(batches(rank, 3) for rank in range(3)), strict=True)
    for everyone, *own in zip(whole, *parts, strict=True):
        for key in ("index", "images", "labels", "is_replay"):
            for one in own:
                assert torch.equal(getattr(one, key), one.shard.take(getattr(everyone, key)))
        assert all(torch.equal(one.generator.get_state(), everyone.generator.get_state()) for one in own)
        assert [one.replayed * 3 for one in own] == [everyone.replayed] * 3
    for place, values in enumerate(whole_online):
        assert torch.equal(torch.cat([online[place] for online in onlines]), values)
