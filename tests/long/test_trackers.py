"""Trackers of a whole study: the logged values, and that no result depends on them."""

import json
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.torture.study import kill, processes_of
from tests.unit.monitor.tracking.offline import read_back
from tests.workflow.conftest import copy_of_the_project

STUDY = """
name: tracked
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [simclr]
strategies: [cassle]
probes: [knn]
figures: []
training: {epochs: 3, batch_size: 512}
execution: {device: cpu}
"""
EPOCHS = 3
FIRST = "results/digits-domain2/conv3-narrow/simclr~batch_size=512~epochs=3/first/seed0/task0/checkpoint.pt"
FIRST_TASK = (FIRST, "--configfile", "tracked.yaml")
PATIENCE = 900
"""Seconds to wait for an event before a test fails, also on a loaded machine."""
SECRET = "0123456789abcdef" * 3


@pytest.fixture
def project(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    (project.folder / "tracked.yaml").write_text(STUDY)
    return project


def wait_for(output, condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, output
        time.sleep(0.2)


def kill_all(running):
    """Kill a Snakemake and its jobs with SIGKILL, and the tracker that follows them."""
    followers = [pid for pid, command in everything() if f"--parent {running.pid}" in command]
    for pid in [pid for pid, _ in processes_of([running.pid])] + followers:
        kill(pid)
    running.wait(PATIENCE)


def everything():
    """Yield every process with its command line."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield int(file.parent.name), file.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def test_a_killed_study_that_resumes_is_logged_offline_once_and_completely(project):
    options = ("--configfile", "tracked.yaml", "--config", "wandb={mode: offline}", "tensorboard=true")
    tracking = project.folder / "results/tracking"
    running = project.start(*options)
    try:
        wait_for("", lambda: list(project.folder.glob("results/*/*/*/cassle/seed0/task1/metrics.jsonl")))
    finally:
        kill_all(running)
    code, output = project.run(*options)
    assert code == 0, output
    wait_for(output, lambda: len(list(tracking.glob("wandb/shown/*.json"))) == 3)
    runs = [read_back(folder) for folder in tracking.glob("wandb/wandb/offline-run-*")]
    tasks = {run["config"]["folder"]: run for run in runs if "folder" in run["config"]}
    assert len(runs) == 3
    assert len(tasks) == 2
    for folder, run in tasks.items():
        lines = [json.loads(line) for line in (project.folder / folder / "metrics.jsonl").read_text().splitlines()]
        record = json.loads((project.folder / folder / "train.json").read_text())
        accuracies = json.loads(next((project.folder / folder).glob("probes/*/knn.json")).read_text())["accuracies"]
        assert [row["step"] for row in run["history"]] == list(range(EPOCHS))
        assert [row["loss"] for row in run["history"]] == [line["loss"] for line in lines]
        assert run["config"]["spec"] == record["spec"]
        assert run["group"] == folder.rpartition("/")[0].removeprefix("results/")
        shown = [run["summary"][f"digits-domain2/knn/task{task}"] for task in range(2)]
        assert shown == accuracies["knn"]
    assert len(list(tracking.glob("tensorboard/digits-domain2/**/events.out.*"))) == 2


def test_a_study_continues_training_where_wandb_is_not_installed(project):
    (project.folder / "wandb.py").write_text("raise ImportError('no module named wandb')\n")
    code, output = project.run(*FIRST_TASK, "--config", "wandb={mode: online}")
    assert code == 0, output
    log = project.folder / "results/tracking/wandb.log"
    wait_for(output, lambda: "wandb is not installed" in log.read_text())
    assert "trainings are not concerned" in log.read_text()


class Refusing(BaseHTTPRequestHandler):
    """A service that refuses every key."""

    def do_POST(self):
        self.send_response(401)
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *arguments):
        """Log nothing."""


@pytest.fixture
def refusing():
    """The address of a service that refuses every key."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_study_whose_key_is_refused_continues_training_and_logs_no_key(project, refusing):
    environment = {"WANDB_BASE_URL": refusing, "WANDB_API_KEY": SECRET, "WANDB_INIT_TIMEOUT": "5"}
    code, output = project.run(*FIRST_TASK, "--config", "wandb={mode: online}", **environment)
    assert code == 0, output
    assert next(project.folder.rglob("train.json")).is_file()
    check_logs_without_the_key(project, output)


def check_logs_without_the_key(project, output):
    """Wait until the tracker has given up, and look for the key in every log."""
    log = project.folder / "results/tracking/wandb.log"
    wait_for(output, lambda: "trainings are not concerned" in log.read_text())
    texts = [file.read_text(errors="replace") for file in project.folder.rglob("*.log")]
    assert all(SECRET not in text for text in [output, *texts])


def test_a_study_whose_tracker_has_no_network_and_a_bad_key_continues_training_and_logs_no_key(project):
    code, output = project.run(
        "--configfile",
        "tracked.yaml",
        "--config",
        "wandb={mode: online}",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY=SECRET,
        WANDB_INIT_TIMEOUT="5",
    )
    assert code == 0, output
    check_logs_without_the_key(project, output)
