"""A verb that is asked to stop says so, and ends as the signal ends it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import cassle.cli as cli
from cassle.contracts.records import PlanRecord, write_record
from cassle.runtime.signals import STOPPING

WAIT = """
import os, sys, time
def wait(args):
    if sys.argv[1] == "forked" and os.fork() > 0:
        print(os.wait()[1], flush=True)
    else:
        print(os.getpid(), flush=True)
        time.sleep(60)
wait.__name__ = "prepare"
import cassle.cli.parser as parser
parser.prepare = wait
from cassle.cli import main
sys.exit(main(["prepare", "--dataset", "x", "--out", "x"]))
"""


@contextmanager
def job(how, log, before=None):
    """Start a verb of the workflow that does nothing for a minute, with its errors in a log."""
    words = [sys.executable, "-c", WAIT, how]
    with log.open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=before)
    with process:
        yield process, int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_a_signal_ends_a_job_with_a_word_in_its_log(tmp_path, number, name):
    with job("alone", tmp_path / "log") as (process, _):
        process.send_signal(number)
        assert process.wait(60) == -number
    assert (tmp_path / "log").read_text() == f"cassle prepare: stopped by {name}; the same command resumes\n"


def test_an_ignored_signal_stays_so(tmp_path):
    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with job("alone", tmp_path / "log", nohup) as (process, _):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
    assert "SIGHUP" not in (tmp_path / "log").read_text()


def test_a_forked_worker_ends_without_a_word_and_alone(tmp_path):
    with job("forked", tmp_path / "log") as (process, worker):
        os.kill(worker, signal.SIGTERM)
        assert int(process.stdout.readline()) == signal.SIGTERM
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text() == ""


def test_a_verb_leaves_signals_as_it_found_them(capsys):
    before = [signal.getsignal(number) for number in STOPPING]
    assert cli.main(["train"]) == 1
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_watching_ends_by_ctrl_c_as_it_should(tmp_path):
    plan = PlanRecord(host="here", train=[], probes=[], trackers={}, others={})
    write_record(tmp_path / "results/studies/mine/plan.json", plan)
    words = [sys.executable, "-m", "cassle.cli", "status", "--watch"]
    watching = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "No Snakemake" not in (line := watching.stdout.readline()):
        assert line, watching.stderr.read()  # at the end of the output, readline returns "" for ever
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60)[1] == ""
    assert watching.returncode == 0


def test_a_verb_for_people_that_is_stopped_says_so(monkeypatch, capsys):
    def stop(*what):
        raise KeyboardInterrupt

    monkeypatch.setattr("cassle.cost.text.cost_of", stop)
    assert cli.main(["plan"]) == 130
    assert capsys.readouterr().err == "cassle plan: stopped by Ctrl-C; the same command resumes\n"
