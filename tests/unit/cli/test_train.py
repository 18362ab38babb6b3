"""Trainings and memories by hand: what they take over, who starts them, and how they end."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cassle.cli import main
from cassle.contracts.records import FailureRecord, TrainRecord, read_record, write_record
from cassle.core.errors import SettingsError
from cassle.core.files import load_tensors
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.training.flops import training_flops
from cassle.training.learner import Learner
from tests.unit.cli.by_hand import OVERRIDES, PLAN, TRAINING, TYPED, checkpoint_of


def test_a_given_first_checkpoint_is_taken_over_and_marks_the_runs(here):
    given = checkpoint_of(here, 0)
    arguments = [*TYPED, f"first_checkpoint={given}"]
    assert main(["train", *arguments, "task=0"]) == 0
    study = {**OVERRIDES, "training": TRAINING, "first_checkpoint": str(given)}
    first, second = resolve(read_study(study)).train
    assert first not in resolve(read_study({**OVERRIDES, "training": TRAINING})).train
    taken, original = (load_tensors(path)["model"] for path in (f"{first}/checkpoint.pt", given))
    assert all(torch.equal(taken[key], original[key]) for key in original)
    assert main(["train", *arguments, "task=1"]) == 0
    assert Path(second, "checkpoint.pt").is_file()


def test_a_record_tells_the_operations_of_all_images_or_nothing_where_they_cannot_be_counted(here, capsys, monkeypatch):
    record = read_record(TrainRecord, checkpoint_of(here, 1).with_name("train.json"))
    images = record.spec.training.epochs * 2 * record.spec.training.batch_size
    assert record.flops == round(images * training_flops(record.spec, 16, 10))

    def refuse(*what):
        raise ValueError("a plugin that looks at values")

    monkeypatch.setattr("cassle.training.flops.training_flops", refuse)
    assert main(["train", *TYPED, "seed=7", "task=0"]) == 0
    assert "the operations of this training are not counted: a plugin that" in capsys.readouterr().out
    (record,) = here.glob("results/*/*/*/first/seed7/task0/train.json")
    assert json.loads(record.read_text())["flops"] is None


def test_what_a_strategy_keeps_is_made_by_hand_and_handed_on(here, capsys):
    arguments = [*(argument for argument in TYPED if "strategy" not in argument), "strategy=er"]
    assert main(["train", *arguments, "task=1"]) == 1
    assert "there is no checkpoint" in capsys.readouterr().err
    assert main(["build_memory", *arguments, "task=0"]) == 0
    memory = next(here.glob("results/digits-domain2/*/simclr*/er/seed0/task0/memory.pt"))
    assert main(["train", *arguments, "task=1"]) == 0
    assert json.loads((memory.parents[1] / "task1/train.json").read_text())["memory"] is not None


def test_a_training_by_several_processes_repeats_the_command_in_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = []
    monkeypatch.setattr("cassle.runtime.launch.launch", lambda arguments, count: started.append((arguments, count)))
    arguments = ["train", "--site", json.dumps({"execution": {"device": "cpu", "processes": 2}}), *TYPED, "task=0"]
    assert main(arguments) == 0
    assert started == [(arguments, 2)]


def test_one_of_several_processes_trains_itself_and_only_the_first_marks_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")

    def fail(request, counted):
        raise SettingsError("in vain")

    monkeypatch.setattr("cassle.training.train_task.train_task", fail)
    site = json.dumps({"execution": {"device": "cpu", "processes": 2}})
    assert main(["train", "--site", site, "--folder", str(tmp_path), *TYPED, "task=0"]) == 1
    assert "in vain" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_retry_that_is_not_worth_it_ends_before_torch_is_imported(here):
    job = next(iter(resolve(read_study({**OVERRIDES, "training": TRAINING})).train.values()))
    folder = here / "again" / job.folder
    folder.mkdir(parents=True)
    failure = FailureRecord(digest=job.spec.digest, message="the loss is NaN", final=True)
    write_record(folder / "failed.json", failure)
    arguments = ["train", "--plan", PLAN, "--folder", str(folder), "--attempt", "2"]
    code = (
        f"import sys; from cassle.cli import main; code = main({arguments!r}); "
        "sys.exit(10 * code + ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 10
    assert done.stderr == "cassle train: not tried again, as it would fail again: the loss is NaN\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_stop_exits_with_the_signal_and_goes_on_next_time(
    here, capsys, monkeypatch, number
):
    arguments = ["train", *TYPED, f"seed={int(number)}", "task=0"]
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_batch_start", lambda *args: signal.raise_signal(number))
        assert main(arguments) == 128 + number
    captured = capsys.readouterr()
    assert f"received {number.name}: saving the state after this step" in captured.out
    assert captured.err == "cassle train: stopped at epoch 0, step 1; the same command resumes from there\n"
    assert main(arguments) == 0
    assert "resuming at epoch 0, step 1" in capsys.readouterr().out
