"""The default study, shortened, on a real Slurm through the profile as it is: a walltime costs no result."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.torture.study import ALL, Study, log_says, wait_for
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
"""One strategy, whose trainings save their states only when they are asked to stop."""


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
        assert study.processes(), study.said()
        beat = json.loads(study.file("progress.json").read_text())
        return beat["pid"] if study.file("metrics.jsonl").read_text().count("\n") > 2 else 0

    return wait_for(look, "the second task had trained for some epochs", PATIENCE)


def end_the_time_of(pid):
    """Cut the walltime of a process's job to a minute, and let the process stand still until Slurm tells it to end."""
    os.kill(pid, signal.SIGSTOP)
    environment = dict(word.split("=", 1) for word in Path(f"/proc/{pid}/environ").read_text().split("\0") if word)
    job = environment["SLURM_JOB_ID"]
    subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True, timeout=60)
    wait_for(lambda: signal.SIGTERM in pending(pid), "its time was over", PATIENCE)
    os.kill(pid, signal.SIGCONT)


def pending(pid):
    """Return the signals that a process has not yet heard."""
    [mask] = re.findall(r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return {number for number in signal.valid_signals() if int(mask, 16) >> (number - 1) & 1}


def test_a_training_killed_by_its_walltime_resumes_in_the_same_run_and_nothing_differs(study, local):
    running = study.start(ALL, PROFILE)
    end_the_time_of(trainer(study))
    alone = local.start()
    log_says(study, "received SIGTERM: saving the state after this step")
    assert running.wait(PATIENCE) == 0, study.said()
    assert "SLURM status is: 'TIMEOUT'" in study.said()
    assert "Trying to restart job" in study.said()
    assert "resuming at epoch" in study.file("train.log").read_text()
    assert alone.wait(PATIENCE) == 0, local.said()
    assert study.contents() == local.contents()
    assert not study.leftovers()
