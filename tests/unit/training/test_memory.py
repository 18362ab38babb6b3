"""Memories: made from the right files, handed to the right task, the same after any interruption."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from cassle.core.errors import CheckpointError, DataError, Interrupted, SettingsError
from cassle.core.files import save_tensors
from cassle.data.base import read_index
from cassle.data.loaders.device import DeviceLoader
from cassle.data.loaders.rows import TaskRows
from cassle.data.splits import read_split
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views
from cassle.models.checkpoints import load_checkpoint
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.settings.site import Execution, Site
from cassle.training.learner import Learner
from cassle.training.memory import (
    FORMAT,
    MemoryFile,
    MemoryRequest,
    build_memory,
    check_memory,
    load_memory,
    save_memory,
    task_end,
)
from cassle.training.task import TrainRequest
from cassle.training.train_task import train_task
from tests.unit.specs import changed
from tests.unit.strategies.world import CPU, noise, positions
from tests.unit.training.conftest import STREAM

STRATEGY = {"name": "ewc+er", "er": {"buffer_size": 40}}


@pytest.fixture(scope="module")
def world(prepared, tmp_path_factory):
    """A run of EWC with replay up to the memory of its first task: folder, plan, and requests for what follows."""
    return World(prepared, tmp_path_factory.mktemp("run"), STRATEGY)


class World:
    def __init__(self, prepared, folder, strategy):
        words = {"stream": STREAM, "backbone": "conv3-narrow", "objective": "simclr", "strategy": strategy}
        self.plan = resolve(read_study({**words, "training": {"epochs": 1, "batch_size": 256}}))
        self.prepared, self.folder = prepared, folder
        self.first, self.second = self.plan.train.values()
        self.site = Site(execution=Execution(device="cpu"))
        train_task(self.training(self.first, "first"))
        (self.job,) = self.plan.memory.values()
        build_memory(self.remembering())

    def training(self, job, name, **changes):
        previous = self.folder / "first" / "checkpoint.pt" if job is self.second else None
        memory = self.folder / "memory.pt" if job is self.second else None
        files = (self.prepared / "index.npz", self.prepared / "split.npz", self.folder / name)
        request = TrainRequest(job.spec, self.site, *files, previous, None, memory)
        return replace(request, **changes)

    def remembering(self, **changes):
        files = (self.prepared / "index.npz", self.prepared / "split.npz", self.folder / "first" / "checkpoint.pt")
        return replace(MemoryRequest(self.job.spec, self.site, *files, self.folder / "memory.pt"), **changes)


@pytest.fixture
def memory(world):
    return load_memory(world.folder / "memory.pt")


def test_a_memory_says_what_made_it_but_not_when_or_where(world, memory):
    made = memory.provenance
    assert set(made.as_json()) == {"version", "spec", "code", "versions", "data", "parent", "memory"}
    assert made.parent == load_checkpoint(world.folder / "first" / "checkpoint.pt").fingerprint
    assert made.memory is None
    assert made.spec.strategy == world.second.spec.strategy


def test_it_holds_positions_of_the_task_and_no_pixels(world, memory):
    tasks = torch.as_tensor(read_split(world.prepared / "split.npz").train_task)
    positions = memory.tensors["er.positions"]
    assert (tasks[positions] == 0).all()
    assert len(positions) == 40
    assert set(memory.tensors) == {"er.positions", "er.tasks", "er.keys", "ewc.fisher", "ewc.center"}
    assert all(value.ndim == 1 for value in memory.tensors.values())


def test_the_same_files_give_the_same_memory(world, memory, tmp_path):
    build_memory(world.remembering(out=tmp_path / "again.pt"))
    assert load_memory(tmp_path / "again.pt").fingerprint == memory.fingerprint


def test_the_memory_is_a_parent_of_the_next_task(world, memory):
    request = world.training(world.second, "second")
    train_task(request)
    made = load_checkpoint(request.folder / "checkpoint.pt")
    assert made.provenance.memory == memory.fingerprint
    assert json.loads((request.folder / "train.json").read_text())["memory"] == memory.fingerprint
    assert made.strategy == {}


def stop_after(steps, monkeypatch):
    """Send SIGTERM to this process after so many steps of training."""
    ended, done = Learner.on_train_batch_end, []

    def counting(self, *args):
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        ended(self, *args)

    monkeypatch.setattr(Learner, "on_train_batch_end", counting)


def test_an_interrupted_task_with_a_memory_ends_in_the_same_bits(world, monkeypatch):
    whole, broken = (world.training(world.second, name) for name in ("whole", "broken"))
    train_task(whole)
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        with pytest.raises(Interrupted):
            train_task(broken)
    assert not (broken.folder / "checkpoint.pt").exists()
    train_task(broken)
    one, other = (load_checkpoint(request.folder / "checkpoint.pt") for request in (whole, broken))
    assert all(torch.equal(other.model[key], value) for key, value in one.model.items())
    assert one.provenance == other.provenance
    lines = [(request.folder / "metrics.jsonl").read_text() for request in (whole, broken)]
    assert lines[0] == lines[1]


def test_a_state_made_with_another_memory_is_thrown_away(world, memory, monkeypatch, capsys, tmp_path):
    request = world.training(world.second, "other")
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(Interrupted):
            train_task(request)
    tensors = {**memory.tensors, "er.positions": memory.tensors["er.positions"][:30]}
    save_memory(tmp_path / "memory.pt", replace(memory, tensors=tensors))
    train_task(replace(request, memory=tmp_path / "memory.pt"))
    assert "made with other settings, parents or code and is deleted" in capsys.readouterr().out


def test_a_task_without_the_memory_it_needs_is_refused(world):
    with pytest.raises(SettingsError, match=r"ewc\+er starts task 1 from the memory of the task before.*--memory"):
        train_task(world.training(world.second, "x", memory=None))


def test_a_strategy_that_keeps_nothing_writes_no_memory(world):
    spec = changed(world.job.spec, strategy={"name": "finetune", "settings": {}})
    with pytest.raises(SettingsError, match="strategy finetune keeps no memory"):
        build_memory(world.remembering(spec=spec))


def test_nothing_is_remembered_after_the_last_task(world):
    with pytest.raises(SettingsError, match="task 1 is the last one"):
        build_memory(world.remembering(spec=changed(world.job.spec, task=1)))


def test_a_later_memory_needs_the_one_before_it(world, tmp_path):
    spec = changed(world.job.spec, task=1, stream={"tasks": 3})
    with pytest.raises(SettingsError, match="the memory after task 1 needs the one before it: give --memory"):
        build_memory(world.remembering(spec=spec))
    out = tmp_path / "memory.pt"
    build_memory(world.remembering(spec=spec, previous=world.folder / "memory.pt", out=out))
    later = load_memory(out)
    assert later.provenance.memory == load_memory(world.folder / "memory.pt").fingerprint
    assert set(later.tensors["er.tasks"].tolist()) == {0, 1}
    tasks = torch.as_tensor(read_split(world.prepared / "split.npz").train_task)
    assert torch.equal(tasks[later.tensors["er.positions"]], later.tensors["er.tasks"].to(tasks.dtype))


def test_information_needs_a_full_batch(world):
    spec = changed(world.job.spec, strategy={"settings": {"ewc": {"fisher_batch_size": 5000}}})
    with pytest.raises(DataError, match="task 0 has 1438 training images, fewer than one batch of 5000"):
        build_memory(world.remembering(spec=spec))


@pytest.mark.parametrize(
    ("changes", "parent", "data", "message"),
    [
        ({"task": 3}, None, None, "is the memory after task 0; task 3 needs that after 2"),
        ({"strategy": {"name": "er", "settings": {}}}, None, None, "belongs to a run whose strategy differs in name"),
        ({}, "0" * 16, None, "was made from another checkpoint"),
        ({}, None, "0" * 16, "counts images of other data"),
    ],
)
def test_a_memory_of_something_else_is_refused(world, memory, changes, parent, data, message):
    data = data or read_index(world.prepared / "index.npz").fingerprint
    with pytest.raises(CheckpointError, match=message):
        check_memory("memory.pt", memory, changed(world.second.spec, **changes), parent, data)


def test_no_task_goes_on_from_a_memory_that_does_not_belong_to_it(world, memory, tmp_path):
    other = tmp_path / "other.pt"
    save_memory(other, replace(memory, provenance=changed(memory.provenance, data="0" * 16)))
    with pytest.raises(CheckpointError, match="counts images of other data"):
        train_task(world.training(world.second, "x", memory=other))
    spec = changed(world.job.spec, task=1, stream={"tasks": 3})
    with pytest.raises(CheckpointError, match="counts images of other data"):
        build_memory(world.remembering(spec=spec, previous=other, out=tmp_path / "memory.pt"))


def test_batches_that_are_remembered_from_are_not_those_of_the_training(world):
    views = Views([ViewSettings(size=16)], (0.5,) * 3, (0.25,) * 3)
    end = task_end(None, world.job.spec, 8, noise(), positions(0), views, CPU)
    trained = DeviceLoader(noise(), TaskRows(positions(0), positions(0), 8, 0, 0)).epoch(0)
    for one, other in zip(end.batches(8), trained, strict=True):
        assert not torch.equal(one.index, other.index)
        assert one.generator.initial_seed() != other.generator.initial_seed()


def test_a_file_that_is_no_memory_is_refused(world, tmp_path):
    with pytest.raises(CheckpointError, match="is not a memory"):
        load_memory(world.folder / "first" / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.pt"):
        load_memory(tmp_path / "nowhere.pt")
    save_tensors(tmp_path / "new.pt", {"format": 99, "memory": {}, "provenance": {}})
    with pytest.raises(CheckpointError, match="has memory format 99"):
        load_memory(tmp_path / "new.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provenance": None}, "provenance: it holds no keys and values; delete that file"),
        ({"provenance": {"version": 99}}, "provenance has version 99, and this software reads versions up to 1"),
        ({"provenance": {"code": 3}}, r"provenance: 'spec' is missing \(and 5 more errors\); delete that file"),
        ({"memory": {"er.positions": 3}}, "its part 'memory' holds no named tensors; delete it and run again"),
    ],
)
def test_a_damaged_memory_is_refused(memory, tmp_path, changes, message):
    value = {"format": FORMAT, "memory": memory.tensors, "provenance": memory.provenance.as_json()}
    save_tensors(tmp_path / "memory.pt", {**value, **changes})
    with pytest.raises(CheckpointError, match=rf"memory\.pt.* {message}"):
        load_memory(tmp_path / "memory.pt")


def test_equal_memories_have_equal_fingerprints(memory):
    one, other = torch.arange(3), torch.arange(1, 4)
    cases = [(one, 1), (one.clone(), 1), (other, 1), (one, 2)]
    made = [
        MemoryFile({"positions": tensor}, changed(memory.provenance, spec={"seed": seed})).fingerprint
        for tensor, seed in cases
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3
