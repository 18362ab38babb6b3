"""Every kind of probe through the workflow, and linear evaluation killed in the middle."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from cassle.core.files import read_json
from tests.workflow.conftest import BIN, Project, copy_of_the_project

STUDY = """
name: probes
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [barlow_twins]
strategies: [finetune]
offline: true
probes:
  - knn
  - {name: linear, epochs: 3, flip: 0.0}
  - {name: semi_10, classifier: linear_cached}
  - {name: domain_aware, classifier: linear_cached}
  - {name: transfer, to: digits-class5, classifier: linear_cached}
figures: [bars]
training: {epochs: 1, batch_size: 512}
execution: {device: cpu, state_minutes: 0}
"""
OPTIONS = ("--configfile", "probes.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """The study, run from data to tables."""
    project = copy_of_the_project(tmp_path_factory.mktemp("probes") / "project")
    (project.folder / "probes.yaml").write_text(STUDY)
    code, output = project.run(*OPTIONS)
    assert code == 0, output
    return project


def test_every_probe_has_its_table_and_transfer_the_tasks_of_its_own_stream(finished):
    tables = sorted((finished.folder / "results/studies/probes/tables/digits-domain2").glob("*.csv"))
    assert len(tables) == 5
    for table in map(pd.read_csv, tables):
        average = table[table["metric"] == "A"].set_index("strategy")["mean"]
        assert set(average.index) == {"random", "finetune", "offline"}
        assert average.between(0.05, 1).all()
    runs = pd.read_csv(finished.folder / "results/runs.csv")
    transfer = runs[runs["probe"].str.startswith("transfer")]
    assert set(transfer["task_name"]) == {f"digits classes {number}" for number in range(1, 6)}
    assert (runs[runs["probe"] == "knn"].groupby(["strategy", "task"]).size() == 2).all()


def test_the_second_run_has_nothing_to_do(finished):
    code, output = finished.run(*OPTIONS)
    assert code == 0
    assert "Nothing to be done" in output


def test_linear_evaluation_killed_in_the_middle_ends_in_the_same_numbers(finished):
    checkpoint = next(finished.folder.glob("results/digits-domain2/*/*/finetune/seed0/task1/checkpoint.pt"))
    site = json.dumps({"execution": {"device": "cpu", "state_minutes": 0}})
    probe = "[{name: linear, epochs: 12}]"
    command = [str(BIN / "cassle"), "probe", "--checkpoint", str(checkpoint), "--probes", probe, "--site", site]

    def start(out: str) -> subprocess.Popen:
        return subprocess.Popen([*command, "--out", out], cwd=finished.folder, env=finished.environment())

    assert start("whole.json").wait() == 0
    killed = start("killed.json")
    state = finished.folder / ".killed.state"
    deadline = time.monotonic() + 120
    while not list(Path(state).glob("*/state.pt")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (finished.folder / "killed.json").exists()
    assert start("killed.json").wait() == 0
    whole, resumed = (read_json(finished.folder / name) for name in ("whole.json", "killed.json"))
    assert resumed["accuracies"] == whole["accuracies"]
    assert not state.exists()
