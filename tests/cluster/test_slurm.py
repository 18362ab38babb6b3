"""The default study, shortened, on a real Slurm with the unchanged profile: a walltime loses no result."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.torture.study import ALL, Study, wait_for, wait_for_log
from tests.workflow.conftest import REPOSITORY

PROFILE = (
    "--workflow-profile",
    str(REPOSITORY / "workflow/profiles/slurm"),
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "5",
)
PATIENCE = 1800
"""Seconds for all jobs of the study: each starts Python three times, which takes long on a machine with other work."""
SETTINGS = {"strategies": "cassle", "minutes": 60}
"""One strategy, whose trainings save their states only when they are stopped."""


@pytest.fixture
def study(slurm, tmp_path):
    """A study of two tasks, to be run by Slurm."""
    study = Study(tmp_path / "study").write(**SETTINGS)
    yield study
    study.end()


@pytest.fixture
def local(tmp_path):
    """The same study, to be run without Slurm."""
    local = Study(tmp_path / "local").write(**SETTINGS)
    yield local
    local.end()


def trainer(study):
    """Wait until the second task has trained for some epochs, and return its process."""

    def look():
        assert study.processes(), study.output()
        beat = json.loads(study.file("progress.json").read_text())
        return beat["pid"] if study.file("metrics.jsonl").read_text().count("\n") > 2 else 0

    return wait_for(look, "the second task had trained for some epochs", PATIENCE)


def exceed_walltime(pid):
    """Cut the walltime of a process's job to a minute, and suspend the process until Slurm sends SIGTERM."""
    os.kill(pid, signal.SIGSTOP)
    environment = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if entry)
    job = environment["SLURM_JOB_ID"]
    subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True, timeout=60)
    wait_for(lambda: signal.SIGTERM in pending(pid), "its time was over", PATIENCE)
    os.kill(pid, signal.SIGCONT)


def pending(pid):
    """Return the pending signals of a process."""
    [mask] = re.findall(r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return {number for number in signal.valid_signals() if int(mask, 16) >> (number - 1) & 1}


def test_a_training_killed_by_its_walltime_resumes_in_the_same_run_and_nothing_differs(study, local):
    running = study.start(ALL, PROFILE)
    exceed_walltime(trainer(study))
    alone = local.start()
    wait_for_log(study, "received SIGTERM: saving the state after this step")
    assert running.wait(PATIENCE) == 0, study.output()
    assert "SLURM status is: 'TIMEOUT'" in study.output()
    assert "Trying to restart job" in study.output()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert alone.wait(PATIENCE) == 0, local.output()
    assert study.contents() == local.contents()
    assert not study.leftovers()
