"""Trackers beside a whole study: what they show, and that nothing depends on them."""

import time

import pytest

from tests.workflow.conftest import copy_of_the_project

STUDY = """
name: tracked
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [simclr]
strategies: [cassle]
probes: [knn]
figures: []
training: {epochs: 2, batch_size: 512}
execution: {device: cpu}
"""
PATIENCE = 120
SECRET = "0123456789abcdef" * 3


@pytest.fixture
def project(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    (project.folder / "tracked.yaml").write_text(STUDY)
    return project


def wait_for(said, condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, said
        time.sleep(0.2)


def test_an_offline_study_leaves_one_run_per_task_and_one_of_tables(project):
    code, said = project.run("--configfile", "tracked.yaml", "--config", "wandb={mode: offline}", "tensorboard=true")
    assert code == 0, said
    tracking = project.folder / "results/tracking"
    wait_for(said, lambda: len(list(tracking.glob("wandb/shown/*.json"))) == 3)
    assert len(list(tracking.glob("wandb/wandb/offline-run-*"))) == 3
    assert len(list(tracking.glob("tensorboard/digits-domain2/**/events.out.*"))) == 2


def test_a_study_whose_tracker_has_no_network_and_a_bad_key_trains_on_and_tells_no_key(project):
    code, said = project.run(
        "--configfile",
        "tracked.yaml",
        "--config",
        "wandb={mode: online}",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY=SECRET,
        WANDB_INIT_TIMEOUT="5",
    )
    assert code == 0, said
    log = project.folder / "results/tracking/wandb.log"
    wait_for(said, lambda: "trainings are not concerned" in log.read_text())
    texts = [file.read_text(errors="replace") for file in project.folder.rglob("*.log")]
    assert all(SECRET not in text for text in [said, *texts])
