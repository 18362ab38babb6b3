"""Offline runs are read back by wandb's own definition of a record; a stand-in keeps steps as the service does."""

import glob
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cassle.cli import main
from cassle.core.files import fingerprint
from cassle.monitor.status import read_plan
from cassle.monitor.tracking.follow import follow
from cassle.monitor.tracking.lines import TrackingError, trackable
from cassle.monitor.tracking.wandb import WandbTracker
from cassle.settings.site import WandbSettings
from tests.unit.monitor.tracking.conftest import FOLDER, SPEC, Results
from tests.unit.monitor.tracking.offline import read_back


def offline(results):
    folder = results.root / "results/tracking/wandb"
    return WandbTracker(WandbSettings(mode="offline", project="p"), folder, results.root), folder


def test_offline_a_finished_training_is_written_once_and_reads_back(results):
    results.train(3)
    tracker, folder = offline(results)
    follow(results.study, tracker)
    assert list(folder.glob("wandb/*run*")) == []  # nothing of a training that still runs
    results.finish()
    for _ in range(2):
        follow(results.study, offline(results)[0])
    (run,) = folder.glob("wandb/offline-run-*")
    found = read_back(run)
    assert found["group"] == "digits-domain2/conv3/simclr/cassle/seed0"
    assert found["project"] == "p"
    assert [row["step"] for row in found["history"]] == [0, 1, 2]
    assert [row["loss"] for row in found["history"]] == [1, 1 / 2, 1 / 3]
    assert found["config"]["folder"] == FOLDER
    assert found["config"]["spec"] == SPEC.model_dump(mode="json")
    assert found["summary"]["digits-domain2/knn/mean"] == 0.625


def test_tables_and_figures_are_shown_when_they_have_changed(results):
    table = results.study / "tables/digits-domain2/knn.csv"
    table.parent.mkdir(parents=True)
    for text in ("objective,A\nsimclr,0.5\n", "objective,A\nsimclr,0.5\n", "objective,A\nsimclr,0.75\n"):
        table.write_text(text)
        tracker, folder = offline(results)
        follow(results.study, tracker)
    shown = [read_back(run)["history"] for run in folder.glob("wandb/offline-run-*")]
    assert [len(history) for history in shown] == [1, 1]
    assert {row["tables/digits-domain2/knn.csv/_type"] for (row,) in shown} == {"table-file"}


def test_offline_files_of_a_killed_tracker_are_replaced(results):
    results.train(2)
    results.finish()
    tracker, folder = offline(results)
    plan = read_plan(results.study)
    (training,) = trackable(results.root, plan.train, plan.probes)
    run = tracker._begin("f" * 16, training.task, training.run, "train")
    run.finish()
    left = Path(run.dir).parent
    left.rename(left.with_name(left.name.replace("f" * 16, fingerprint([FOLDER, 0]))))
    follow(results.study, offline(results)[0])
    (whole,) = folder.glob("wandb/offline-run-*")
    assert [row["step"] for row in read_back(whole)["history"]] == [0, 1]


def test_the_command_that_sends_offline_runs_can_be_pasted_into_a_shell(tmp_path, capsys):
    results = Results(tmp_path / "it's $(touch pwned) `touch pwned`")
    results.train(1)
    results.finish()
    assert main(["wandb", str(results.study)]) == 0
    words = shlex.split(re.search(r"`(wandb sync .*)` sends them", capsys.readouterr().out)[1])
    assert words[:2] == ["wandb", "sync"]
    assert len(glob.glob(words[2])) == 1


class Service:
    """What W&B's service does: a run keeps its steps, and a run with a known id continues after its last one."""

    def __init__(self):
        self.runs = {}
        self.calls = []

    def __call__(self, **words):
        self.calls.append(words)
        history = self.runs.setdefault(words["id"], [])
        run = SimpleNamespace(id=words["id"], dir="x/files", config={}, summary={}, step=len(history), artifacts=[])

        def log(line, step):
            assert step == len(history), "a step twice, or out of order"
            history.append(line)
            run.step = step + 1

        run.log, run.finish = log, lambda: None
        run.config = SimpleNamespace(update=lambda values, allow_val_change: None)
        run.log_artifact = lambda file, name, type: run.artifacts.append(file)
        self.last = run
        return run


def online(results, service, **settings):
    chosen = WandbSettings(mode="online", **settings)
    return WandbTracker(chosen, results.root / "results/tracking/wandb", results.root, init=service)


def test_online_curves_grow_and_a_restarted_follower_repeats_no_step(results):
    service = Service()
    tracker = online(results, service)
    for epochs in (1, 3):
        results.train(epochs)
        follow(results.study, tracker)
    results.train(5)
    follow(results.study, online(results, service))
    results.train(2)  # a killed training resumes from an earlier epoch
    follow(results.study, online(results, service))
    results.train(6)
    results.finish()
    for _ in range(2):
        follow(results.study, online(results, service))
    (history,) = service.runs.values()
    assert [line["epoch"] for line in history] == [0, 1, 2, 3, 4, 5]
    assert service.last.summary["digits-domain2/knn/mean"] == 0.625
    assert {words["resume"] for words in service.calls} == {"allow"}


def test_checkpoints_are_sent_only_if_asked_for(results):
    results.train(1)
    results.finish()
    service = Service()
    follow(results.study, online(results, service, checkpoints=True))
    assert [Path(file).name for file in service.last.artifacts] == ["checkpoint.pt"]


def test_a_service_that_refuses_ends_the_follower_in_words(results):
    results.train(1)

    def refuse(**words):
        raise RuntimeError("API key is wrong")

    with pytest.raises(TrackingError, match=r"API key is wrong; trainings are not concerned"):
        follow(results.study, online(results, refuse))


def test_without_wandb_the_message_says_how_to_get_it(results, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["wandb", str(results.study)]) == 1
    assert "wandb is not installed" in capsys.readouterr().err
