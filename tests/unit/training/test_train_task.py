"""Training jobs: outputs, resuming, and the errors a user can meet."""

import json
import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cassle.core.errors import CassleError, CheckpointError, DataError, DivergenceError, Interrupted
from cassle.core.files import load_tensors
from cassle.models.checkpoints import load_checkpoint
from cassle.objectives.simclr import SimCLR
from cassle.training import train_task as job_module
from cassle.training.learner import Learner
from cassle.training.progress import LOSSES, Progress
from cassle.training.state import StopRequest
from cassle.training.step import training_step
from cassle.training.task import assemble
from cassle.training.train_task import begin, fit, train_task
from tests.unit.specs import changed
from tests.unit.training.conftest import planned


def with_spec(request, **changes):
    """Return a request whose specification has changed fields."""
    return replace(request, spec=changed(request.spec, **changes))


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
    assert record["spec"] == request.spec.model_dump(mode="json")
    assert checkpoint.provenance.spec == request.spec
    lines = [json.loads(line) for line in (request.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0]
    assert lines[0]["loss"] == pytest.approx(lines[0]["objective"] + lines[0]["penalty"])
    visible = {path.name for path in request.folder.iterdir() if not path.name.startswith(".")}
    assert visible == {"checkpoint.pt", "train.json", "metrics.jsonl"}


def test_metrics_of_an_epoch_are_means_over_its_steps(request_for, first_task, monkeypatch):
    found, record = [], Progress.record

    def recorded(self, losses, online):
        found.append([losses.total.item(), losses.objective.item(), losses.penalty.item(), online.item()])
        record(self, losses, online)

    monkeypatch.setattr(Progress, "record", recorded)
    request = request_for(planned()[1], first_task)
    train_task(request)
    line = json.loads((request.folder / "metrics.jsonl").read_text())
    assert len(found) == 1438 // 256
    assert [line[name] for name in LOSSES] == pytest.approx(torch.tensor(found).double().mean(dim=0).tolist())


def test_every_epoch_is_trained_at_its_own_rate_from_the_first_to_the_last(request_for, monkeypatch):
    rates, step = [], Learner.training_step

    def recorded(self, *what):
        rates.append(self.optimizer.param_groups[0]["lr"])
        return step(self, *what)

    monkeypatch.setattr(Learner, "training_step", recorded)
    schedule = {"name": "warmup_cosine", "warmup_epochs": 2, "warmup_start_lr": 1e-4, "min_lr": 0.0}
    train_task(request_for(planned(epochs=4, batch_size=1024, optimizer={"lr": 1e-3}, schedule=schedule)[0]))
    assert rates == pytest.approx([1e-4, 1e-3, 1e-3, 5e-4])


def test_a_checkpoint_says_what_made_it_but_not_when_or_where(request_for, first_task):
    made = load_checkpoint(first_task).provenance.as_json()
    assert set(made) == {"version", "spec", "code", "versions", "data", "parent", "memory"}


def test_the_same_job_gives_the_same_bits(request_for):
    job = planned("byol")[0]
    requests = [request_for(job, folder=name) for name in ("one", "two")]
    for request in requests:
        train_task(request)
    assert_equal_bits(*(request.folder for request in requests))


def test_a_network_learns_from_its_own_task_and_the_online_classifier_from_the_images_of_all_tasks(request_for):
    request = request_for(planned()[0])
    task = assemble(request)
    with StopRequest() as stop:
        rows = begin(request, task, stop).loader.rows
    of_task = torch.as_tensor(task.split.train_task)
    assert set(of_task.tolist()) == {-1, 0, 1}
    assert torch.equal(rows.indices, (of_task == 0).nonzero().flatten())
    assert torch.equal(rows.labeled, (of_task != -1).nonzero().flatten())


def test_the_online_classifier_has_a_learning_rate_of_its_own_and_no_weight_decay(request_for):
    request = request_for(planned("byol")[1])
    with StopRequest() as stop:
        learner = begin(request, assemble(request), stop)
    groups = {group["name"]: group for group in learner.configure_optimizers().param_groups}
    settings = learner.training_settings
    assert (groups["classifier"]["lr"], groups["classifier"]["weight_decay"]) == (settings.classifier_lr, 0)
    decays = {name: group["weight_decay"] for name, group in groups.items() if name != "classifier"}
    assert decays == dict.fromkeys(("backbone", "objective", "distillation"), settings.optimizer.weight_decay)
    assert settings.optimizer.weight_decay > 0


@pytest.mark.parametrize(("choice", "passes"), [("apart", 0), ("shared", 1)])
def test_images_of_the_online_classifier_enter_batchnorm_only_if_asked(request_for, choice, passes):
    request = request_for(planned(online_batch=choice)[0])
    with StopRequest() as stop:
        learner = begin(request, assemble(request), stop)
    batch, backbone = next(learner.loader.epoch(0)), learner.model.backbone
    norm = next(module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d))
    mean = norm.running_mean.clone()
    losses = [learner.online_loss(batch) for _ in range(2)]
    assert norm.num_batches_tracked == 2 * passes
    assert torch.equal(norm.running_mean, mean) == (passes == 0)
    assert (losses[0] == losses[1]) == (passes == 0)  # an augmented image is never the same twice
    losses[0].backward()
    assert backbone.training
    assert learner.model.classifier.weight.grad.any()
    assert all(weight.grad is None for weight in backbone.parameters())


def test_the_scale_of_gradients_reaches_the_network_but_not_the_online_classifier(request_for):
    found = {}
    for scale in (1.0, 0.25):
        request = request_for(planned("barlow_twins", gradient_scale=scale)[0], folder=str(scale))
        with StopRequest() as stop:
            learner = begin(request, assemble(request), stop)
        learner.training_step(next(learner.loader.epoch(0)), 0).backward()
        found[scale] = {name: weight.grad for name, weight in learner.model.named_parameters()}
        found[scale]["loss"] = learner.progress.sums[1]
    assert found[1.0].pop("loss") == found[0.25].pop("loss")
    for name, gradient in found[1.0].items():
        share = 1.0 if name.startswith("classifier") else 0.25
        torch.testing.assert_close(found[0.25][name], share * gradient)


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
    one, two = request_for(job, folder="one"), with_spec(request_for(job, folder="two"), seed=1)
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


def test_a_training_that_was_killed_just_after_its_end_leaves_no_state(request_for, first_task):
    (first_task.parent / "state.pt").write_bytes(b"state")
    (first_task.parent / "progress.json").write_text("{}")
    train_task(request_for(planned()[0]))
    assert not (first_task.parent / "state.pt").exists()
    assert not (first_task.parent / "progress.json").exists()


def test_outputs_that_were_deleted_as_unfinished_come_back(request_for, first_task, monkeypatch):
    request = request_for(planned()[0])
    before = (request.folder / "checkpoint.pt").read_bytes()
    for name in ("checkpoint.pt", "train.json"):
        (request.folder / name).unlink()
    monkeypatch.setattr(job_module, "fit", never)
    train_task(request)
    assert (request.folder / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_that_was_damaged_and_then_deleted_does_not_come_back(request_for, first_task, capsys):
    # The second name of a file that is damaged in place is damaged, too.
    before = load_checkpoint(first_task).fingerprint
    first_task.write_bytes(first_task.read_bytes()[:-5000])
    for name in ("checkpoint.pt", "train.json"):
        (first_task.parent / name).unlink()
    train_task(request_for(planned()[0]))
    assert "was finished meanwhile" not in capsys.readouterr().out
    assert load_checkpoint(first_task).fingerprint == before


def test_a_damaged_checkpoint_is_replaced_by_the_job_that_wrote_it(request_for, first_task):
    before = load_checkpoint(first_task).fingerprint
    content = bytearray(first_task.read_bytes())
    content[len(content) // 2] ^= 255
    first_task.unlink()
    first_task.write_bytes(content)
    train_task(request_for(planned()[0]))
    assert load_checkpoint(first_task).fingerprint == before


def test_half_written_files_of_a_killed_trainer_are_removed(request_for, first_task):
    left = first_task.parent / ".state.pt.12.0123abcd@some-machine.partial"
    left.write_bytes(b"half")
    train_task(request_for(planned()[0]))
    assert not left.exists()


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


BATCH = {"name": "cassle", "teacher_batchnorm": "batch"}


@pytest.mark.parametrize(
    ("objective", "strategy", "steps"),
    [("simclr", "cassle", 1), ("byol", "cassle", 4), ("byol", "cassle", 5), ("byol", "cassle", 6), ("byol", BATCH, 6)],
)
def test_an_interrupted_task_ends_in_the_same_bits(request_for, monkeypatch, objective, strategy, steps):
    jobs = planned(objective, strategy, epochs=2)
    request = request_for(jobs[0])
    train_task(request)
    parent = request.folder / "checkpoint.pt"
    whole, broken = request_for(jobs[1], parent, "whole"), request_for(jobs[1], parent, "broken")
    train_task(whole)
    with monkeypatch.context() as patch:
        stop_after(steps, patch)
        with pytest.raises(Interrupted, match="the same command resumes from there") as stopped:
            train_task(broken)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert not (broken.folder / "checkpoint.pt").exists()
    train_task(broken)
    assert_equal_bits(whole.folder, broken.folder)


def test_an_objective_begins_a_task_once_however_often_its_training_is_stopped(request_for, first_task, monkeypatch):
    begun = []
    monkeypatch.setattr(SimCLR, "begin_task", lambda self, start: begun.append((start.task, start.seed)))
    request = request_for(planned()[1], first_task)
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(Interrupted):
            train_task(request)
    train_task(request)
    assert begun == [(1, 0)]


def test_a_trainer_that_ends_early_leaves_no_checkpoint(request_for, monkeypatch):
    monkeypatch.setattr(job_module.pl.Trainer, "fit", lambda self, learner: None)
    request = request_for(planned()[0])
    with pytest.raises(RuntimeError, match="trained 0 of 1 epochs"):
        train_task(request)
    assert not (request.folder / "checkpoint.pt").exists()


@pytest.fixture
def on_disk(request_for, disk):
    """Function from a number of epochs to the same training twice: in a folder, and on a small disk."""

    def make(**training):
        job = planned("byol", epochs=2)[0]
        return request_for(job, folder="whole"), request_for(job, folder=disk.folder / "broken", **training)

    return make


def at_step(steps, act, monkeypatch):
    """Let something happen in the middle of the given steps of a training."""
    original = Learner.on_train_batch_end

    def hook(self, outputs, batch, batch_idx):
        if self.moment.step in steps:
            act[steps.index(self.moment.step)]()
        original(self, outputs, batch, batch_idx)

    monkeypatch.setattr(Learner, "on_train_batch_end", hook)


ROOM = 50_000
"""Bytes of a disk that is full: enough for a line in a log, not for tensors."""


def test_a_disk_that_is_full_for_a_while_costs_a_training_nothing(on_disk, disk, monkeypatch, capsys):
    whole, broken = on_disk(state_minutes=0)
    train_task(whole)
    with monkeypatch.context() as patch:
        at_step([2, 7], [lambda: disk.fill(ROOM), disk.free], patch)
        train_task(broken)
    assert_equal_bits(whole.folder, broken.folder)
    said = capsys.readouterr().out
    assert said.count("no state is saved, an earlier one is kept: cannot write") == 5
    assert not (broken.folder / "state.pt").exists()


def test_a_disk_that_is_full_at_the_end_fails_the_job_and_the_next_one_goes_on(on_disk, disk, monkeypatch, capsys):
    whole, broken = on_disk(state_minutes=0)
    train_task(whole)
    with monkeypatch.context() as patch:
        at_step([8], [lambda: disk.fill(ROOM)], patch)
        with pytest.raises(CassleError, match=r"cannot write .*/checkpoint\.pt: .*; make room .* run the same command"):
            train_task(broken)
    left = {path.name for path in broken.folder.iterdir()}
    assert left == {".lock", "metrics.jsonl", "progress.json", "state.pt"}
    disk.free()
    train_task(broken)
    assert "resuming at epoch 1, step 3" in capsys.readouterr().out
    assert_equal_bits(whole.folder, broken.folder)


def test_a_training_that_must_stop_on_a_full_disk_goes_on_from_the_last_state(on_disk, disk, monkeypatch, capsys):
    whole, broken = on_disk(state_minutes=0)
    train_task(whole)
    with monkeypatch.context() as patch:
        stop = lambda: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
        at_step([4, 6], [lambda: disk.fill(ROOM), stop], patch)
        with pytest.raises(Interrupted, match=r"epoch 1, step 2; .* from the last state that could be saved"):
            train_task(broken)
    disk.free()
    train_task(broken)
    assert "resuming at epoch 0, step 4" in capsys.readouterr().out
    assert_equal_bits(whole.folder, broken.folder)


def test_a_disk_that_is_full_from_the_start_is_told_before_anything_is_trained(request_for, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=ROOM))
    monkeypatch.setattr(job_module, "fit", never)
    with pytest.raises(CassleError, match=r"checkpoint.pt: the disk has 0.1 MB left and it takes [\d.]+ MB; make room"):
        train_task(request_for(planned()[0]))


def test_a_read_only_disk_is_told_before_anything_is_trained(on_disk, disk, monkeypatch):
    _, broken = on_disk()
    task = assemble(broken)
    monkeypatch.setattr(job_module, "assemble", lambda request: task)
    with disk.read_only(), pytest.raises(CassleError, match=f"cannot write in {broken.folder}: .*fix that"):
        train_task(broken)


def test_a_training_tells_that_it_has_begun_before_its_first_step(request_for, monkeypatch):
    request = request_for(planned()[0])
    seen = []

    def look(self, *args):
        seen.append(json.loads((request.folder / "progress.json").read_text()))
        raise Interrupted("seen", 1)

    monkeypatch.setattr(Learner, "training_step", look)
    with pytest.raises(Interrupted):
        train_task(request)
    assert (seen[0]["epoch"], seen[0]["epochs"], seen[0]["images_per_second"], seen[0]["loss"]) == (0, 1, None, None)


def test_a_record_tells_what_saving_states_cost(request_for):
    request = request_for(planned()[0], state_minutes=0)
    train_task(request)
    record = json.loads((request.folder / "train.json").read_text())
    assert record["states"] == 5
    assert 0 < record["state_seconds"] <= record["seconds"]


def test_a_record_tells_the_operations_of_every_image_that_a_step_saw(request_for):
    asked = []

    def counted(spec, image_size, num_classes):
        asked.append((spec.task, image_size, num_classes))
        return 2.5

    request = request_for(planned(epochs=2)[0])
    train_task(request, counted)
    record = json.loads((request.folder / "train.json").read_text())
    assert asked == [(0, 16, 10)]
    assert record["flops"] == 2.5 * 2 * 5 * record["spec"]["training"]["batch_size"]


def test_a_state_of_other_settings_is_thrown_away(request_for, monkeypatch, capsys):
    request = request_for(planned(epochs=2)[0])
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(Interrupted):
            train_task(request)
    train_task(with_spec(request, seed=5))
    assert "made with other settings, parents or code and is deleted" in capsys.readouterr().out
    fresh = with_spec(request_for(planned(epochs=2)[0], folder="fresh"), seed=5)
    train_task(fresh)
    assert_equal_bits(request.folder, fresh.folder)


def test_a_loss_that_is_not_finite_ends_the_job_without_a_checkpoint(request_for, first_task):
    request = request_for(planned(optimizer={"lr": 1e20}, schedule={"name": "constant"})[1], first_task)
    with pytest.raises(DivergenceError, match=r"NaN or infinite in epoch 0.*Lower the learning rate"):
        train_task(request)
    assert not (request.folder / "checkpoint.pt").exists()
    assert first_task.exists()


def test_the_last_state_of_a_training_that_diverges_is_from_before_it_did(request_for, monkeypatch):
    record = Progress.record

    def recorded(self, losses, online):
        record(self, losses, online)
        if self.moment.step == 2:
            self.sums += torch.nan

    monkeypatch.setattr(Progress, "record", recorded)
    request = request_for(planned()[0], state_minutes=0)
    with pytest.raises(DivergenceError, match="up to step 3"):
        train_task(request)
    state = load_tensors(request.folder / "state.pt")
    assert state["step"] == 2
    assert state["sums"].isfinite().all()


def test_a_damaged_checkpoint_is_refused_by_name(request_for, first_task):
    first_task.write_bytes(first_task.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=f"cannot read checkpoint {first_task}.*delete it"):
        train_task(request_for(planned()[1], first_task))


def test_a_missing_checkpoint_is_refused_by_name(request_for, tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.pt"):
        train_task(request_for(planned()[1], tmp_path / "nowhere.pt"))


def test_a_checkpoint_of_another_backbone_is_refused(request_for, first_task):
    request = with_spec(request_for(planned()[1], first_task), backbone={"name": "conv3", "settings": {}})
    with pytest.raises(CheckpointError, match="holds a conv3-narrow backbone, this task continues conv3"):
        train_task(request)


def test_a_checkpoint_of_another_size_is_refused_in_one_line(request_for, first_task):
    request = with_spec(request_for(planned()[1], first_task), objective={"settings": {"output_dim": 7}})
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
