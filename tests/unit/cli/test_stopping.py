"""A verb that is told to stop says so, whoever told it, and ends with the exit code of the signal."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

import cassle.cli as cli
from cassle.cli.stopping import HEARD


@pytest.fixture
def verb(monkeypatch):
    """Makes the command line run a function as `cassle probe`, with signals as a fresh process has them."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in HEARD}

    def take(run):
        parsed = SimpleNamespace(run=run, verb="probe")
        monkeypatch.setattr(cli, "build_parser", lambda: SimpleNamespace(parse_args=lambda words: parsed))

    yield take
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_a_signal_ends_a_verb_with_a_word_and_its_exit_code(verb, capsys, number, name):
    cleaned = []

    def run(args):
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except Exception as error:
            raise AssertionError("an error, so it would be tried again") from error
        finally:
            cleaned.append(True)

    verb(run)
    assert cli.main([]) == 128 + number
    assert capsys.readouterr().err == f"cassle probe: stopped by {name}; the same command goes on\n"
    assert cleaned
    assert all(signal.getsignal(one) is signal.SIG_DFL for one in HEARD)


def test_an_ignored_signal_stays_so(verb):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    verb(lambda args: os.kill(os.getpid(), signal.SIGHUP))
    assert cli.main([]) == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_forked_worker_ends_as_ever(verb):
    def run(args):
        if (worker := os.fork()) == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM

    verb(run)
    assert cli.main([]) == 0


def test_watching_ends_by_ctrl_c_as_it_should(tmp_path):
    study = tmp_path / "results/studies/mine"
    study.mkdir(parents=True)
    (study / "plan.json").write_text('{"train": [], "probes": [], "others": {}, "trackers": {}}')
    words = [sys.executable, "-m", "cassle.cli", "status", "--watch"]
    watching = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "No Snakemake" not in watching.stdout.readline():
        pass
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60)[1] == ""
    assert watching.returncode == 0
