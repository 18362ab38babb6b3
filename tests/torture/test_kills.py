"""A study that is killed and started again ends in the same files as one that was left alone."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cassle.training.checkpoints import load_checkpoint
from tests.workflow.conftest import Project, copy_of_the_project

STUDY = """
name: killed
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [byol]
strategies: [cassle]
probes: [knn]
figures: []
training: {epochs: 20, batch_size: 256}
execution: {device: cpu, state_minutes: 0.01}
"""
WORDS = ("--configfile", "killed.yaml")
PATIENCE = 120


def new_project(folder: Path) -> Project:
    project = copy_of_the_project(folder)
    (folder / "killed.yaml").write_text(STUDY)
    return project


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The study, left alone."""
    project = new_project(tmp_path_factory.mktemp("undisturbed") / "project")
    code, said = project.run(*WORDS)
    assert code == 0, said
    return project


@pytest.fixture
def prepared(undisturbed, tmp_path):
    """The study with its second task undone."""
    project = undisturbed.copy(tmp_path / "project")
    for folder in project.folder.glob("results/digits-domain2/*/*/cassle"):
        shutil.rmtree(folder)
    return project


def contents(project: Project) -> dict[str, object]:
    """What has to be equal: tensors and metadata of checkpoints, metrics, rows."""
    root = project.folder / "results"
    found: dict[str, object] = {
        str(file.relative_to(root)): load_checkpoint(file).fingerprint for file in root.rglob("checkpoint.pt")
    }
    found |= {str(file.relative_to(root)): file.read_text() for file in root.rglob("metrics.jsonl")}
    return {**found, "runs.csv": (root / "runs.csv").read_text()}


def start(project: Project) -> subprocess.Popen:
    """Start the study in a session of its own."""
    return project.start(*WORDS)


def beat_of(project: Project) -> dict:
    """Wait until the second task is in the middle of its training, and return its heartbeat."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for file in project.folder.glob("results/digits-domain2/*/*/cassle/seed0/task1/progress.json"):
            try:
                beat = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            if (file.parent / "state.pt").is_file():
                return beat
        time.sleep(0.02)
    raise AssertionError("the task never came that far")


def wait_for(project: Project, words: str) -> None:
    """Wait until the second task's log says something."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for log in project.folder.glob("results/digits-domain2/*/*/cassle/seed0/task1/train.log"):
            if words in log.read_text():
                return
        time.sleep(0.05)
    raise AssertionError(f"the log never said: {words}")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def finish(project: Project) -> str:
    """Run the study to its end, as a user would after whatever happened."""
    project.run("--unlock", *WORDS)
    code, said = project.run(*WORDS)
    assert code == 0, said
    return said


def test_a_killed_trainer_is_tried_again_in_the_same_run_and_goes_on(undisturbed, prepared):
    running = start(prepared)
    os.kill(beat_of(prepared)["pid"], signal.SIGKILL)
    assert running.wait(PATIENCE) == 0
    assert contents(prepared) == contents(undisturbed)


def test_a_killed_snakemake_leaves_an_orphan_that_the_next_one_waits_for(undisturbed, prepared):
    running = start(prepared)
    orphan = beat_of(prepared)["pid"]
    os.kill(orphan, signal.SIGSTOP)  # so slow that the next run meets it
    running.kill()
    running.wait()
    prepared.run("--unlock", *WORDS)
    running = start(prepared)
    wait_for(prepared, f"waiting for process {orphan}")
    os.kill(orphan, signal.SIGCONT)
    assert running.wait(PATIENCE) == 0
    assert gone(orphan)
    wait_for(prepared, "was finished meanwhile by another process")
    assert contents(prepared) == contents(undisturbed)


def test_an_orphan_that_finishes_alone_has_not_worked_in_vain(undisturbed, prepared):
    running = start(prepared)
    orphan = beat_of(prepared)["pid"]
    running.kill()
    running.wait()
    until = time.monotonic() + PATIENCE
    while not gone(orphan) and time.monotonic() < until:
        time.sleep(0.1)
    finish(prepared)
    wait_for(prepared, "was finished meanwhile by another process")
    assert contents(prepared) == contents(undisturbed)


def test_both_killed_in_the_middle_of_a_task_go_on_from_its_state(undisturbed, prepared):
    running = start(prepared)
    trainer = beat_of(prepared)["pid"]
    running.kill()
    os.kill(trainer, signal.SIGKILL)
    running.wait()
    finish(prepared)
    log = next(prepared.folder.glob("results/digits-domain2/*/*/cassle/seed0/task1/train.log")).read_text()
    assert "resuming at epoch" in log
    assert contents(prepared) == contents(undisturbed)


def test_ctrl_c_saves_and_the_same_command_goes_on(undisturbed, prepared):
    running = start(prepared)
    beat_of(prepared)
    os.killpg(running.pid, signal.SIGINT)
    running.wait(PATIENCE)
    log = next(prepared.folder.glob("results/digits-domain2/*/*/cassle/seed0/task1/train.log")).read_text()
    assert "received SIGINT: saving the state after this step" in log
    finish(prepared)
    assert contents(prepared) == contents(undisturbed)
