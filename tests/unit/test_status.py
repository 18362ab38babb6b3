"""What a user is told of runs while they run."""

import json
import os
import subprocess
import sys
import time

import pytest

from cassle.errors import CassleError
from cassle.status import as_text, lines_of, write_plan

FOLDERS = [f"results/s/b/o/cassle/seed0/task{task}" for task in range(5)]
BEAT = {
    "task": 1,
    "device": "cpu",
    "host": os.uname().nodename,
    "epoch": 3,
    "epochs": 15,
    "loss": 0.5,
    "images_per_second": 812.4,
    "seconds_left": 3700,
}


@pytest.fixture
def study(tmp_path):
    """A study of five trainings: done, running, stopped, failed, waiting."""
    folder = tmp_path / "results/studies/mine"
    write_plan(folder, FOLDERS, [], {})
    done, running, stopped, failed, _ = (tmp_path / name for name in FOLDERS)
    for place in (done, running, stopped, failed):
        place.mkdir(parents=True)
    (done / "train.json").write_text("{}")
    (running / "progress.json").write_text(json.dumps({**BEAT, "pid": os.getpid(), "updated": time.time()}))
    (stopped / "progress.json").write_text(json.dumps({**BEAT, "pid": 2**22 + 1, "updated": time.time()}))
    (stopped / "state.pt").write_bytes(b"")
    (failed / "failed.json").write_text(json.dumps({"spec": {}, "message": "the loss is NaN"}))
    return folder


def test_every_training_has_one_of_five_states(study):
    assert [line.state for line in lines_of(study)] == ["done", "running", "stopped", "failed", "waiting"]


def test_the_text_tells_what_runs_what_failed_and_the_totals(study):
    text = as_text(lines_of(study))
    assert f"running  {FOLDERS[1]}  epoch 3/15  loss 0.5  812 images/s  1 h 1 min left  on cpu" in text
    assert f"stopped  {FOLDERS[2]}  epoch 3/15" in text
    assert f"the loss is NaN\n         log: {FOLDERS[3]}/train.log" in text
    assert text.endswith("1 running, 1 waiting, 1 stopped, 1 failed, 1 done")


def test_another_machine_counts_as_running_while_it_speaks(study, tmp_path):
    beat = tmp_path / FOLDERS[1] / "progress.json"
    beat.write_text(json.dumps({**BEAT, "host": "elsewhere", "pid": 1, "updated": time.time()}))
    assert lines_of(study)[1].state == "running"
    beat.write_text(json.dumps({**BEAT, "host": "elsewhere", "pid": 1, "updated": time.time() - 3600}))
    assert lines_of(study)[1].state == "waiting"


def test_an_unknown_study_is_an_error(tmp_path):
    with pytest.raises(CassleError, match="no run of that study was started here"):
        lines_of(tmp_path / "results/studies/none")


def test_status_needs_neither_torch_nor_pandas(study, tmp_path):
    code = (
        "import sys; from cassle.cli import main; code = main(['status']); "
        "sys.exit(code or bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 running" in done.stdout
