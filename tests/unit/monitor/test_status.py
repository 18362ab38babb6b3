"""What a user reads of runs while they run."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cassle.contracts.records import PlanRecord, write_record
from cassle.core.errors import CassleError
from cassle.monitor import status
from cassle.monitor.status import as_text, last_words, lines_of, snakemake_at
from cassle.runtime.locks import clear_stale, exclusive

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


PROBED = "results/s/b/random/seed0/probes/s"
PROBES = [f"{PROBED}/probe{number}.json" for number in range(3)]
DATA = {"results/index.npz": "results/prepare.log"}


@pytest.fixture
def study(tmp_path):
    """A study of five trainings: done, running, stopped, failed, waiting; and of four probes, of which one is done."""
    folder = tmp_path / "results/studies/mine"
    plan = PlanRecord(host="here", train=FOLDERS, probes=PROBES, trackers={}, others=DATA)
    write_record(folder / "plan.json", plan)
    (tmp_path / PROBED).mkdir(parents=True)
    (tmp_path / PROBED / "probe0.json").write_text("{}")
    (tmp_path / PROBED / "probe0.log").write_text("cassle probe: an earlier error\n")
    done, running, stopped, failed, _ = (tmp_path / name for name in FOLDERS)
    for place in (done, running, stopped, failed):
        place.mkdir(parents=True)
    (done / "train.json").write_text("{}")
    (running / "progress.json").write_text(json.dumps({**BEAT, "pid": os.getpid(), "updated": time.time()}))
    (stopped / "progress.json").write_text(json.dumps({**BEAT, "pid": 2**22 + 1, "updated": time.time()}))
    (stopped / "state.pt").write_bytes(b"")
    (failed / "failed.json").write_text(json.dumps({"digest": "d", "message": "the loss is NaN", "final": True}))
    with exclusive(running):
        yield folder


def test_every_training_has_one_of_five_states(study):
    assert [line.state for line in lines_of(study)] == ["done", "running", "stopped", "failed", "waiting"]


def test_the_text_tells_what_runs_what_failed_and_the_totals(study):
    text = as_text(study)
    assert f"running  {FOLDERS[1]}  epoch 3/15  loss 0.5  812 images/s  1 h 1 min left  on cpu" in text
    assert f"stopped  {FOLDERS[2]}  epoch 3/15" in text
    assert f"the loss is NaN\n         log: {FOLDERS[3]}/train.log" in text
    assert text.endswith("trainings: 1 running, 1 waiting, 1 stopped, 1 failed, 1 done; other jobs: 1 of 4 done")


def test_a_training_that_holds_its_folder_runs_though_it_has_said_nothing_yet(study, tmp_path):
    with exclusive(tmp_path / FOLDERS[2]):  # its heartbeat is that of an earlier process
        assert f"running  {FOLDERS[2]}  starting" in as_text(study)
    with exclusive(tmp_path / FOLDERS[4]):
        assert f"running  {FOLDERS[4]}  starting" in as_text(study)


def test_a_number_that_another_process_has_now_is_no_sign_of_life(study, tmp_path):
    (tmp_path / FOLDERS[2] / "progress.json").write_text(
        json.dumps({**BEAT, "pid": os.getpid(), "updated": time.time()})
    )
    assert lines_of(study)[2].state == "stopped"


def test_a_training_without_a_speed_yet_is_told_without_one(study, tmp_path):
    beat = {**BEAT, "pid": os.getpid(), "updated": time.time(), "loss": None, "images_per_second": None}
    (tmp_path / FOLDERS[1] / "progress.json").write_text(json.dumps({**beat, "seconds_left": None}))
    assert f"running  {FOLDERS[1]}  epoch 3/15  on cpu\n" in as_text(study)


def test_a_training_that_hangs_is_told_to_be_silent(study, tmp_path):
    beat = {**BEAT, "pid": os.getpid(), "updated": time.time() - 601}
    (tmp_path / FOLDERS[1] / "progress.json").write_text(json.dumps(beat))
    assert "on cpu  (silent for 10 min)" in as_text(study)


def test_a_probe_that_failed_is_told_with_its_log_while_others_run(study, tmp_path):
    (tmp_path / PROBED / "probe1.log").write_text("a warning\ncassle probe: cannot read checkpoint x: damaged\n\n")
    (tmp_path / PROBED / "probe2.log").write_text("at work\n")
    text = as_text(study)
    assert (
        f"failed   {PROBED}/probe1.json\n         cannot read checkpoint x: damaged\n         log: {PROBED}/probe1.log"
        in text
    )
    assert f"{PROBED}/probe2" not in text
    assert f"{PROBED}/probe0" not in text


def test_a_probe_that_was_not_tried_again_is_told_by_why_it_failed_first(study, tmp_path):
    (tmp_path / PROBED / "probe1.log").write_text("cassle probe: not tried again, as it would fail again: ...\n")
    (tmp_path / PROBED / "probe1.failed").write_text(
        json.dumps({"digest": "d", "message": "x is damaged", "final": True})
    )
    reported = f"{PROBED}/probe1.json\n         x is damaged\n         log: {PROBED}/probe1.log"
    assert f"failed   {reported}" in as_text(study)
    assert f"{PROBED}/probe1.json: x is damaged\n    log: {PROBED}/probe1.log" in last_words(study)


def test_an_evaluation_at_work_is_told_and_one_that_was_stopped_has_not_failed(study, tmp_path):
    (tmp_path / PROBED / "probe1.log").write_text("cassle probe: stopped by Ctrl-C; the same command resumes\n")
    with (tmp_path / PROBED / "probe2.log").open("w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        text = as_text(study)
    assert f"stopped  {PROBED}/probe1.json  stopped by Ctrl-C; the same command resumes\n" in text
    assert f"running  {PROBED}/probe2.json\n" in text
    assert f"{PROBED}/probe1.json: stopped by Ctrl-C; the same command resumes\n" in last_words(study)


def test_an_error_of_python_is_told_by_its_last_line(study, tmp_path):
    (tmp_path / "results/prepare.log").write_text("Traceback ...\n  File \"figure.py\"\nKeyError: 'seed'\n")
    assert "failed   results/index.npz\n         KeyError: 'seed'\n         log: results/prepare.log" in as_text(study)
    assert "results/index.npz: KeyError: 'seed'\n" in last_words(study)


def test_whether_snakemake_works_in_the_folder_is_told(study, tmp_path, monkeypatch):
    guard = tmp_path / ".snakemake/guard"
    assert snakemake_at(study) == f"No Snakemake works in {tmp_path}: the same command resumes what is not done"
    clear_stale(guard, tmp_path / ".snakemake/locks")  # held until this process ends
    here = f"process {os.getpid()} on {os.uname().nodename}"
    assert snakemake_at(study) == f"Snakemake works in {tmp_path}: {here}"

    def refuse(guard):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(status, "on_guard", refuse)
    assert snakemake_at(study) == f"Whether Snakemake works in {tmp_path} is unknown: No locks available"


def test_of_logs_only_the_ends_of_those_of_unfinished_jobs_are_read(study, tmp_path, monkeypatch):
    opened, usual = [], Path.open

    def watched(path, *words, **options):
        opened.append(path.name)
        return usual(path, *words, **options)

    (tmp_path / PROBED / "probe1.log").write_text("cassle probe: too early\n" + "\n" * 2000)
    (tmp_path / PROBED / "probe2.log").write_text("progress\n" * 2000 + "cassle probe: at the end\n")
    monkeypatch.setattr(Path, "open", watched)
    monkeypatch.setattr(status, "TAIL", 60)
    text = as_text(study)
    assert f"{PROBED}/probe2.json\n         at the end\n" in text
    assert "too early" not in text
    assert sorted(name for name in opened if name.endswith(".log")) == ["prepare.log", "probe1.log", "probe2.log"]
    assert not {"train.json", "metrics.jsonl", "probe0.json"} & set(opened)


def test_the_last_words_name_what_failed_why_and_where_its_log_is(study, tmp_path):
    (tmp_path / FOLDERS[3] / "train.log").write_text("cassle train: not tried again, as ...\n")
    (tmp_path / FOLDERS[2] / "train.log").write_text("resuming at epoch 3, step 1\n")
    (tmp_path / PROBED / "probe1.log").write_text("")
    assert last_words(study).splitlines() == [
        "3 of 9 jobs did not end well:",
        f"  {FOLDERS[2]}/train.json: ended without a word, as when it is killed or memory runs out; its log ends: "
        "resuming at epoch 3, step 1",
        f"    log: {FOLDERS[2]}/train.log",
        f"  {FOLDERS[3]}/train.json: the loss is NaN",
        f"    log: {FOLDERS[3]}/train.log",
        f"  {PROBED}/probe1.json: ended without a word, as when it is killed or memory runs out",
        f"    log: {PROBED}/probe1.log",
        "4 more were not begun.",
        "Finished results are kept: the same command resumes from there.",
    ]


def test_the_last_words_of_a_run_that_was_stopped_blame_nobody(study):
    assert last_words(study).splitlines() == [
        "7 more were not begun.",
        "Finished results are kept: the same command resumes from there.",
    ]


def test_the_last_words_name_a_full_disk(study, monkeypatch, tmp_path):
    monkeypatch.setattr(status, "LITTLE", 10**18)
    assert f"The disk of {tmp_path} is full: make room first." in last_words(study)


def test_another_machine_counts_as_running_while_it_speaks(study, tmp_path):
    (tmp_path / FOLDERS[4]).mkdir()
    beat = tmp_path / FOLDERS[4] / "progress.json"
    beat.write_text(json.dumps({**BEAT, "host": "elsewhere", "pid": 1, "updated": time.time()}))
    assert lines_of(study)[4].state == "running"
    beat.write_text(json.dumps({**BEAT, "host": "elsewhere", "pid": 1, "updated": time.time() - 3600}))
    assert lines_of(study)[4].state == "waiting"


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
    assert done.stdout.endswith(f"No Snakemake works in {tmp_path}: the same command resumes what is not done\n")
