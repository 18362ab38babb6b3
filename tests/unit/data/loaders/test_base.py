"""Loaders that read files: what every one of them promises, and which one a setting means."""

import os
import sys
import time
from itertools import islice

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from cassle.core.errors import CassleError, DataError, SettingsError
from cassle.data.base import InMemory
from cassle.data.file_images import clean_image
from cassle.data.loaders import TaskRows, open_loader
from cassle.data.loaders.base import Drawn
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views
from tests.unit.data.loaders.conftest import COUNT, SIZE

CPU = torch.device("cpu")
ALL = {"jitter": 0.8, "gray": 0.2, "blur": 0.5, "solarize": 0.3, "rotate": 10.0}
VIEWS = Views([ViewSettings(size=SIZE, **ALL), ViewSettings(size=8, **ALL)], (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def rows(seed=0, task=1, batch_size=5, own=range(8, COUNT), replay=None):
    return TaskRows(torch.tensor(list(own)), torch.arange(COUNT), batch_size, seed, task, replay)


@pytest.fixture
def opened(images):
    """Function that opens a loader and closes it after the test."""
    made = []

    def open_one(choice="torchvision", threads=1, given=None, **changes):
        made.append(open_loader(choice, given or images, rows(**changes), VIEWS, CPU, threads))
        return made[-1]

    yield open_one
    for loader in made:
        loader.close()


def taken(loader, epoch, first_step=0):
    """All that a step gets of an epoch's batches."""
    return [
        (batch, *loader.online_batch(epoch, first_step + place))
        for place, batch in enumerate(loader.epoch(epoch, first_step))
    ]


def same(one, other):
    (a, online, labels), (b, other_online, other_labels) = one, other
    return (
        all(torch.equal(getattr(a, key), getattr(b, key)) for key in ("index", "labels", "is_replay"))
        and all(torch.equal(x, y) for x, y in zip(a.views, b.views, strict=True))
        and torch.equal(a.generator.get_state(), b.generator.get_state())
        and torch.equal(online, other_online)
        and torch.equal(labels, other_labels)
    )


def assert_same(some, others):
    assert len(some) == len(others)
    assert all(same(one, other) for one, other in zip(some, others, strict=True))


def test_auto_goes_by_where_the_images_are(opened):
    resident = InMemory(torch.zeros(COUNT, 3, 4, 4, dtype=torch.uint8), torch.zeros(COUNT), torch.zeros(COUNT))
    assert opened("auto").name == "torchvision"
    assert opened("auto", given=resident).name == "device"


def test_a_loader_that_does_not_fit_the_images_is_refused(opened):
    resident = InMemory(torch.zeros(COUNT, 3, 4, 4, dtype=torch.uint8), torch.zeros(COUNT), torch.zeros(COUNT))
    with pytest.raises(SettingsError, match="loader 'device' does not fit a dataset whose images stay in files"):
        opened("device")
    with pytest.raises(SettingsError, match="loader 'dali' does not fit a dataset whose images lie in memory"):
        opened("dali", given=resident)


def test_without_dali_its_command_is_named(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.dali", None)
    with pytest.raises(CassleError, match=r"needs NVIDIA DALI, which is not installed .*`make dali`"):
        opened("dali")


def test_a_task_smaller_than_a_batch_is_refused_with_what_to_do(opened):
    with pytest.raises(DataError, match=r"task 1 has 4 training images, fewer than one batch of 5; lower training"):
        opened(own=range(4))


def test_an_epoch_visits_images_of_its_task_once_at_most_in_full_batches(opened):
    loader = opened()
    for epoch in range(3):
        visited = [batch.index.tolist() for batch in loader.epoch(epoch)]
        flat = [position for batch in visited for position in batch]
        assert [len(batch) for batch in visited] == [5] * loader.steps_per_epoch == [5] * 3
        assert set(flat) == set(range(8, COUNT))
    assert len(loader) == COUNT - 8


def test_a_batch_brings_its_views_and_labels_and_no_images(opened):
    for batch, online, labels in taken(opened(), 0):
        assert batch.images is None
        assert [tuple(view.shape) for view in batch.views] == [(5, 3, SIZE, SIZE), (5, 3, 8, 8)]
        assert all(view.dtype == torch.float32 and view.isfinite().all() for view in batch.views)
        assert all(view.is_contiguous(memory_format=torch.channels_last) for view in batch.views)
        assert torch.equal(batch.labels, 100 + batch.index % 3)
        assert not batch.is_replay.any()
        assert (online.dtype, tuple(online.shape)) == (torch.uint8, (5, 3, SIZE, SIZE))
        assert set(labels.tolist()) <= {100, 101, 102}


def test_online_images_are_clean_ones_of_all_tasks(opened, images):
    loader = opened()
    for place, (_, online, labels) in enumerate(taken(loader, 0)):
        index = loader.rows.online(0, place)
        assert torch.equal(labels, images.labels[index])
        assert torch.equal(online, torch.stack([clean_image(images.image(i), SIZE) for i in index.tolist()]))
    with pytest.raises(RuntimeError, match="come with its batch"):
        loader.online_batch(0, 0)


def test_replayed_images_are_read_behind_a_batchs_own(opened):
    def replay(count, generator):
        return torch.randint(8, (count // 2,), generator=generator)

    loader = opened(replay=replay)
    for batch in loader.epoch(0):
        assert batch.is_replay.tolist() == [False] * 5 + [True] * 2
        assert (batch.index[5:] < 8).all()
        assert all(len(view) == 7 for view in batch.views)
    assert_same(taken(loader, 1), taken(opened(replay=replay), 1))


@pytest.mark.parametrize("first_step", [1, 2])
def test_an_epoch_begun_in_the_middle_gives_the_very_same_batches_from_there(opened, first_step):
    assert_same(taken(opened(), 2, first_step), taken(opened(), 2)[first_step:])


def test_batches_do_not_depend_on_the_number_of_workers_or_on_what_ran_before(opened):
    alone, parallel = opened(), opened(threads=3)
    assert (alone.workers, parallel.workers) == (0, 2)
    torch.manual_seed(5)
    taken(alone, 0)
    assert_same(taken(alone, 1), taken(parallel, 1))
    assert_same(taken(parallel, 0), taken(opened(), 0))


def test_views_depend_on_seed_task_epoch_and_step(opened):
    loaders = [opened(seed=seed, task=task) for seed in (0, 1) for task in (0, 1)]
    views = [batch.views[0] for loader in loaders for epoch in (0, 1) for batch in loader.epoch(epoch)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == len(views) == 24


def test_every_batch_has_a_generator_of_its_own(opened):
    loader = opened()
    seeds = [batch.generator.initial_seed() for epoch in range(2) for batch in loader.epoch(epoch)]
    assert len(set(seeds)) == len(seeds) == 6


def test_a_loader_that_gives_another_step_than_was_asked_for_is_found_out(opened, monkeypatch):
    loader = opened()
    start = loader.start
    monkeypatch.setattr(loader, "start", lambda steps: start(islice(steps, 1, None)))
    with pytest.raises(RuntimeError, match="the loader gave step 1 of epoch 0 for 0"):
        next(loader.epoch(0))


def test_drawing_batches_leaves_the_global_generator_alone(opened):
    before = torch.random.get_rng_state()
    taken(opened(), 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def children():
    return {int(pid) for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == os.getpid()}


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def test_a_closed_loader_leaves_no_process_behind(opened):
    before = children()
    loader = opened(threads=3)
    next(loader.epoch(0))
    assert len(children() - before) >= 2
    loader.close()
    ended = time.monotonic() + 10
    while children() - before and time.monotonic() < ended:
        time.sleep(0.01)
    assert not children() - before


def test_rows_of_files_are_drawn_on_the_host_wherever_they_were_found(images, monkeypatch):
    places, to = [], TaskRows.to
    monkeypatch.setattr(TaskRows, "to", lambda self, device: places.append(device) or to(self, device))
    open_loader("torchvision", images, rows(), VIEWS, CPU, 1)
    assert places == ["cpu"]


def test_what_workers_made_is_pinned_as_a_whole(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, device=None: self + 1)
    drawn = Drawn(rows().at(0, 0), [torch.zeros(2), torch.zeros(3)], torch.zeros(4))
    pinned = pin_memory(drawn)
    assert [tensor.sum().item() for tensor in (*pinned.views, pinned.online)] == [2, 3, 4]
