"""Every strategy through the workflow, and a strategy with a memory killed in the middle of a task."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from cassle.models.checkpoints import load_checkpoint
from cassle.strategies.base import strategies
from cassle.training.memory import load_memory
from tests.workflow.conftest import BIN, Project, copy_of_the_project

NAMES = [*strategies.names(), "cassle+er"]
STUDY = f"""
name: all
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [barlow_twins]
strategies: [{", ".join(NAMES)}]
probes: [knn, online]
figures: [bars]
training: {{epochs: 1, batch_size: 512}}
execution: {{device: cpu}}
"""
KEEPING = {"ewc", "er", "der", "lump", "cassle+er"}
OPTIONS = ("--configfile", "all.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """The study of all strategies, run from data to tables."""
    project = copy_of_the_project(tmp_path_factory.mktemp("strategies") / "project")
    (project.folder / "all.yaml").write_text(STUDY)
    code, output = project.run(*OPTIONS)
    assert code == 0, output
    return project


def folder_of(project: Project, strategy: str) -> Path:
    return next(project.folder.glob(f"results/digits-domain2/conv3-narrow/*/{strategy}/seed0"))


def test_every_strategy_has_its_matrix_and_its_row(finished):
    runs = pd.read_csv(finished.folder / "results/runs.csv")
    cells = runs[runs["probe"] == "knn"].groupby("strategy").size().to_dict()
    assert cells == {**dict.fromkeys(NAMES, 4), "random": 2}
    table = (finished.folder / "results/studies/all/tables/digits-domain2/knn.md").read_text()
    assert all(f" {name} " in table for name in NAMES)
    assert "nan" not in table.lower()


def test_memories_exist_for_every_later_task_and_are_recorded_as_its_parents(finished):
    for name in NAMES:
        folder = folder_of(finished, name)
        assert (folder / "task0/memory.pt").is_file() == (name in KEEPING)
        assert not (folder / "task1/memory.pt").exists()
        parent = load_checkpoint(folder / "task1/checkpoint.pt").provenance.memory
        assert parent == (load_memory(folder / "task0/memory.pt").fingerprint if name in KEEPING else None)


def test_the_second_run_has_nothing_to_do(finished):
    code, output = finished.run(*OPTIONS)
    assert code == 0
    assert "Nothing to be done" in output


def test_a_lost_memory_is_built_again_with_its_dependents(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    (folder_of(project, "er") / "task0/memory.pt").unlink()
    planned = project.plan(*OPTIONS)
    assert (planned["build_memory"], planned["train_task"]) == (1, 1)


def test_a_trainer_with_a_memory_killed_in_the_middle_ends_in_the_same_tensors(finished):
    results = []
    for name in ("whole", "killed"):
        command = train_of(finished, "cassle+er", f"by_hand/{name}")
        if name == "killed":
            kill_in_the_middle(command, finished, f"by_hand/{name}")
        done = subprocess.run(command, cwd=finished.folder, env=finished.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        place = finished.folder / "by_hand" / name
        assert ("resuming at epoch" in done.stdout) == (name == "killed")
        results.append((load_checkpoint(place / "checkpoint.pt").fingerprint, (place / "metrics.jsonl").read_text()))
    assert results[0] == results[1]


def train_of(project: Project, strategy: str, folder: str) -> list[str]:
    """The command that trains the second task into another folder, slowly enough to be killed."""
    previous = next(project.folder.glob("results/digits-domain2/conv3-narrow/*/first/seed0/task0/checkpoint.pt"))
    memory = folder_of(project, strategy) / "task0/memory.pt"
    overrides = ["stream=digits-domain2", "backbone=conv3-narrow", "objective=barlow_twins", f"strategy={strategy}"]
    training = ["training={epochs: 12, batch_size: 512}", "execution={device: cpu, state_minutes: 0}", "task=1"]
    files = ["--previous", str(previous), "--memory", str(memory), "--folder", folder]
    return [str(BIN / "cassle"), "train", *overrides, *training, *files]


def kill_in_the_middle(command: list[str], project: Project, folder: str) -> None:
    process = subprocess.Popen(command, cwd=project.folder, env=project.environment(), stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    lines = project.folder / folder / "metrics.jsonl"
    while not (lines.is_file() and lines.read_text().count("\n") >= 3):
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < until, "it never came that far"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project.folder / folder / "checkpoint.pt").exists()
