"""Trainings by two processes: equal to one process, resumable, and ended with their parent."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cassle.contracts.jobs import TrainJob
from cassle.contracts.layout import TaskFolder
from cassle.contracts.plan_file import PlanFile, PlanHead
from cassle.models.checkpoints import load_checkpoint
from cassle.settings.site import Execution, Site
from cassle.training.train_task import train_task
from tests.long.shared_training import OBJECTIVES, requests, second_tasks
from tests.pair import run_pair

PATIENCE = 120


@pytest.fixture(scope="module")
def found(prepared, tmp_path_factory):
    """Second tasks of one process, and of each of two processes that split its batch."""
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    for objective in OBJECTIVES:
        train_task(requests(objective, prepared, folder)[0])
    pair = run_pair("tests.long.shared_training", tmp_path_factory.mktemp("pair"), str(prepared), str(folder))
    return second_tasks(str(prepared), str(folder)), pair


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_train_the_network_of_one(found, objective):
    alone, pair = found
    for key, expected in alone[objective].items():
        for process in pair:
            torch.testing.assert_close(process[objective][key], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_processes_end_with_identical_tensors(found, objective):
    first, second = (process[objective] for process in found[1])
    assert all(torch.equal(first[key], second[key]) for key in first)


def start(request, folder: Path, log: Path) -> subprocess.Popen:
    """Start a training by two processes on the command line, in its own session."""
    job = TrainJob(at=TaskFolder.parse(folder), spec=request.spec, gpus=0)
    site = Site(execution=Execution(device="cpu", processes=2, state_minutes=0.005))
    head, plan = PlanHead(site=site, figures={}, features={}), folder.parents[5] / "plan.json"
    PlanFile(head, streams={}, train={job.folder: job}, memory={}, probe={}, studies={}).write(plan)
    command = [sys.executable, "-m", "cassle.cli", "train", "--plan", str(plan), "--folder", str(folder)]
    command += ["--index", str(request.index), "--split", str(request.split)]
    with log.open("a") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(there) -> None:
    until = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_training_by_two_processes_can_be_stopped_and_killed_and_resumes(prepared, tmp_path):
    request = requests("byol", prepared, tmp_path / "unused", epochs=15)[0]
    place = TaskFolder("digits-domain3", "conv3-narrow", "byol", "first", 0, 0)
    whole, broken = (tmp_path / name / str(place) for name in ("whole", "broken"))
    log = tmp_path / "output.log"
    assert start(request, whole, log).wait(PATIENCE) == 0

    stopped = start(request, broken, log)
    wait_for(lambda: (broken / "state.pt").is_file())
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(PATIENCE) == 128 + signal.SIGTERM
    assert log.read_text().count("the same command") == 1
    saved = (broken / "state.pt").stat().st_mtime_ns

    killed = start(request, broken, log)
    wait_for(lambda: (broken / "state.pt").stat().st_mtime_ns > saved)
    workers = children(killed.pid)
    killed.kill()
    killed.wait()
    assert len(workers) == 2
    wait_for(lambda: all(gone(pid) for pid in workers))

    assert start(request, broken, log).wait(PATIENCE) == 0
    assert log.read_text().count("resuming at epoch") == 2
    ends = [load_checkpoint(folder / "checkpoint.pt") for folder in (whole, broken)]
    assert ends[0].fingerprint == ends[1].fingerprint
    assert (whole / "metrics.jsonl").read_text() == (broken / "metrics.jsonl").read_text()
    assert json.loads((whole / "train.json").read_text())["processes"] == 2
    visible = {path.name for path in broken.iterdir() if not path.name.startswith(".")}
    assert visible == {"checkpoint.pt", "train.json", "train.times.jsonl", "metrics.jsonl"}
