"""Training jobs: outputs, resuming, and the errors a user can meet."""

import json
import os
import signal

import pytest
import torch

from cassle.errors import CheckpointError, DataError, DivergenceError
from cassle.training import job as job_module
from cassle.training.checkpoints import load_checkpoint
from cassle.training.job import assemble, begin, fit, train_task
from cassle.training.learner import Learner
from cassle.training.state import Interrupted, StopRequest
from cassle.training.step import training_step
from tests.unit.training.conftest import planned


def tensors_of(folder):
    checkpoint = load_checkpoint(folder / "checkpoint.pt")
    return {**checkpoint.model, **{f"strategy.{k}": v for k, v in checkpoint.strategy.items()}}


def assert_equal_bits(first, second):
    a, b = tensors_of(first), tensors_of(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()


@pytest.fixture
def first_task(request_for):
    """A finished first task, shared by strategies."""
    request = request_for(planned()[0])
    train_task(request)
    return request.folder / "checkpoint.pt"


def test_a_task_leaves_checkpoint_record_and_metrics_and_no_state(request_for, first_task):
    request = request_for(planned()[1], first_task)
    train_task(request)
    record = json.loads((request.folder / "train.json").read_text())
    checkpoint = load_checkpoint(request.folder / "checkpoint.pt")
    assert record["parent"] == load_checkpoint(first_task).fingerprint
    assert record["checkpoint"] == checkpoint.fingerprint
    assert record["spec"] == request.spec == checkpoint.meta["spec"]
    lines = [json.loads(line) for line in (request.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0]
    assert lines[0]["loss"] == pytest.approx(lines[0]["objective"] + lines[0]["penalty"])
    visible = {path.name for path in request.folder.iterdir() if not path.name.startswith(".")}
    assert visible == {"checkpoint.pt", "train.json", "metrics.jsonl"}


def test_a_checkpoint_says_what_made_it_but_not_when_or_where(request_for, first_task):
    assert set(load_checkpoint(first_task).meta) == {"spec", "code", "versions", "data", "parent", "memory"}


def test_the_same_job_gives_the_same_bits(request_for):
    job = planned("byol")[0]
    requests = [request_for(job, folder=name) for name in ("one", "two")]
    for request in requests:
        train_task(request)
    assert_equal_bits(*(request.folder for request in requests))


def test_losses_are_computed_in_single_precision_where_networks_are_not(request_for, first_task, monkeypatch):
    seen = {}
    request = request_for(planned("barlow_twins")[0])
    task = assemble(request)
    original = type(task.model.objective).loss

    def spy(self, outputs, batch):
        seen["z"], seen["mixed"] = outputs.z[0].dtype, torch.is_autocast_enabled("cpu")
        return original(self, outputs, batch)

    monkeypatch.setattr(type(task.model.objective), "loss", spy)
    with StopRequest() as stop:
        learner = begin(request, task, stop)
        with torch.autocast("cpu", torch.bfloat16):
            batch = next(learner.loader.epoch(0))
            training_step(batch, learner.draw_views, task.model, task.strategy, None)
    assert seen == {"z": torch.float32, "mixed": False}


def test_another_seed_gives_other_weights(request_for):
    job = planned()[0]
    one, two = request_for(job, folder="one"), request_for(job, folder="two")
    two.spec["seed"] = 1
    for request in (one, two):
        train_task(request)
    assert (
        tensors_of(one.folder)["backbone.blocks.0.0.weight"]
        .ne(tensors_of(two.folder)["backbone.blocks.0.0.weight"])
        .any()
    )


@pytest.mark.parametrize("batchnorm", ["frozen", "batch"])
def test_the_teacher_is_the_previous_checkpoint_and_learns_nothing(request_for, first_task, batchnorm):
    job = planned(strategy={"name": "cassle", "teacher_batchnorm": batchnorm})[1]
    request = request_for(job, first_task)
    task = assemble(request)
    with StopRequest() as stop:
        fit(begin(request, task, stop), "fp32", torch.device("cpu"))
    before = load_checkpoint(first_task).model
    after = task.teacher.state_dict()
    moving = {"running_mean", "running_var", "num_batches_tracked"} if batchnorm == "batch" else set()
    for key in after:
        if key.split(".")[-1] not in moving:
            assert torch.equal(after[key], before[key]), key


def test_a_finished_job_is_not_trained_again(request_for, first_task, capsys):
    request = request_for(planned()[0])
    written = (request.folder / "checkpoint.pt").stat().st_mtime_ns
    train_task(request)
    assert "was finished meanwhile by another process" in capsys.readouterr().out
    assert (request.folder / "checkpoint.pt").stat().st_mtime_ns == written


def test_outputs_that_were_deleted_as_unfinished_come_back(request_for, first_task, monkeypatch):
    request = request_for(planned()[0])
    before = (request.folder / "checkpoint.pt").read_bytes()
    for name in ("checkpoint.pt", "train.json"):
        (request.folder / name).unlink()
    monkeypatch.setattr(job_module, "fit", never)
    train_task(request)
    assert (request.folder / "checkpoint.pt").read_bytes() == before


def never(*args):
    raise AssertionError("trained again")


def stop_after(steps, monkeypatch):
    """Let a SIGTERM arrive in the middle of the given step of a training."""
    original = Learner.on_train_batch_end

    def hook(self, outputs, batch, batch_idx):
        if self.moment.step == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, outputs, batch, batch_idx)

    monkeypatch.setattr(Learner, "on_train_batch_end", hook)


@pytest.mark.parametrize(("objective", "steps"), [("simclr", 1), ("byol", 4), ("byol", 5), ("byol", 6)])
def test_an_interrupted_task_ends_in_the_same_bits(request_for, monkeypatch, objective, steps):
    jobs = planned(objective, epochs=2)
    request = request_for(jobs[0])
    train_task(request)
    parent = request.folder / "checkpoint.pt"
    whole, broken = request_for(jobs[1], parent, "whole"), request_for(jobs[1], parent, "broken")
    train_task(whole)
    with monkeypatch.context() as patch:
        stop_after(steps, patch)
        with pytest.raises(Interrupted, match="the same command goes on from there") as stopped:
            train_task(broken)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert not (broken.folder / "checkpoint.pt").exists()
    train_task(broken)
    assert_equal_bits(whole.folder, broken.folder)


def test_a_state_of_other_settings_is_thrown_away(request_for, monkeypatch, capsys):
    request = request_for(planned(epochs=2)[0])
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(Interrupted):
            train_task(request)
    request.spec["seed"] = 5
    train_task(request)
    assert "made with other settings, parents or code and is deleted" in capsys.readouterr().out
    fresh = request_for(planned(epochs=2)[0], folder="fresh")
    fresh.spec["seed"] = 5
    train_task(fresh)
    assert_equal_bits(request.folder, fresh.folder)


def test_a_loss_that_is_not_finite_ends_the_job_without_a_checkpoint(request_for, first_task):
    request = request_for(planned(optimizer={"lr": 1e20}, schedule={"name": "constant"})[1], first_task)
    with pytest.raises(DivergenceError, match=r"NaN or infinite in epoch 0.*Lower the learning rate"):
        train_task(request)
    assert not (request.folder / "checkpoint.pt").exists()
    assert first_task.exists()


def test_a_damaged_checkpoint_is_refused_by_name(request_for, first_task):
    first_task.write_bytes(first_task.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=f"cannot read checkpoint {first_task}.*delete it"):
        train_task(request_for(planned()[1], first_task))


def test_a_missing_checkpoint_is_refused_by_name(request_for, tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.pt"):
        train_task(request_for(planned()[1], tmp_path / "nowhere.pt"))


def test_a_checkpoint_of_another_backbone_is_refused(request_for, first_task):
    request = request_for(planned()[1], first_task)
    request.spec["backbone"] = {"name": "conv3", "settings": {}}
    with pytest.raises(CheckpointError, match="holds a conv3-narrow backbone, this task continues conv3"):
        train_task(request)


def test_a_checkpoint_of_another_size_is_refused_in_one_line(request_for, first_task):
    request = request_for(planned()[1], first_task)
    request.spec["objective"]["settings"]["output_dim"] = 7
    with pytest.raises(CheckpointError, match=r"of another shape .*7.*Is it of another backbone\?") as refused:
        train_task(request)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_another_strategy_is_refused(request_for, first_task):
    request = request_for(planned()[1], first_task)
    train_task(request)
    other = request_for(planned(strategy={"name": "cassle", "weight": 2.0})[1], request.folder / "checkpoint.pt", "x")
    with pytest.raises(CheckpointError, match=r"belongs to a run whose strategy differs in settings\.weight"):
        train_task(other)


def test_a_batch_larger_than_a_task_is_refused(request_for):
    with pytest.raises(DataError, match="task 0 has 1438 training images, fewer than one batch of 2000"):
        train_task(request_for(planned(batch_size=2000)[0]))


def test_the_waiter_on_a_lock_finds_the_finished_output(request_for, first_task, monkeypatch):
    monkeypatch.setattr(job_module, "fit", never)
    train_task(request_for(planned()[0]))
