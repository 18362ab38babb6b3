"""States in the middle of a task: whose they are, when they are due, and how a training is stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from cassle.core.errors import CassleError, Interrupted
from cassle.core.files import save_tensors
from cassle.runtime.signals import STOPPING
from cassle.training import state as state_module
from cassle.training.state import StateFile, StopRequest

PATIENCE = 60
"""Seconds after which a process is killed, so that one that never answers fails its test and holds up no other."""

STOP = """
import os, time
from cassle.training.state import StopRequest
with StopRequest() as stop:
    os.write(1, b"ready\\n")
    while stop.signal is None:
        time.sleep(0.01)
    os.write(1, b"saving\\n")
    time.sleep(60)
"""
"""It writes without `print`: a signal that arrives before a `print` has returned is received without a line."""

EACH = pytest.mark.parametrize("number", STOPPING)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(state_module, "time", clock)
    return clock


@pytest.fixture
def start():
    """Starts a script in a process of its own, and ends what is left of it after the test."""
    with contextlib.ExitStack() as stack:

        def run(script, *arguments):
            process = subprocess.Popen(
                [sys.executable, "-c", script, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            patience = threading.Timer(PATIENCE, process.kill)
            patience.start()
            stack.callback(patience.cancel)
            return process

        yield run


def test_a_state_comes_back_to_the_training_that_saved_it(tmp_path):
    StateFile(tmp_path, "key", 10).save({"model": {"weight": torch.arange(3)}, "epoch": 2, "scaler": None})
    value = StateFile(tmp_path, "key", 10).load()
    assert torch.equal(value["model"]["weight"], torch.arange(3))
    assert (value["epoch"], value["scaler"]) == (2, None)


def test_a_training_without_a_state_starts_without_a_word(tmp_path, capsys):
    assert StateFile(tmp_path, "key", 10).load() is None
    assert capsys.readouterr().out == ""


def test_a_later_state_takes_the_place_of_the_earlier_one(tmp_path):
    state = StateFile(tmp_path, "key", 10)
    for epoch in (1, 2):
        state.save({"epoch": epoch})
    assert state.load()["epoch"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_of_another_key_is_deleted_with_a_message_and_never_used(tmp_path, capsys):
    mine = StateFile(tmp_path, "mine", 10)
    StateFile(tmp_path, "theirs", 10).save({"epoch": 2})
    assert mine.load() is None
    said = capsys.readouterr().out
    assert said == f"state {mine.path} was made with other settings, parents or code and is deleted\n"
    assert list(tmp_path.iterdir()) == []
    assert mine.load() is None


@pytest.mark.parametrize("value", [{"epoch": 2}, [1, 2], None])
def test_a_file_without_a_key_is_no_state(tmp_path, capsys, value):
    state = StateFile(tmp_path, "key", 10)
    save_tensors(state.path, value)
    assert state.load() is None
    assert "is deleted" in capsys.readouterr().out
    assert not state.path.exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_damaged_state_is_deleted_with_a_message_and_never_used(tmp_path, capsys, share):
    state = StateFile(tmp_path, "key", 10)
    state.save({"weight": torch.randn(1000)})
    content = state.path.read_bytes()
    state.path.write_bytes(content[: int(share * len(content))])
    assert state.load() is None
    said = capsys.readouterr().out
    assert said.startswith(f"state {state.path} is damaged and is deleted; this task starts again (")
    assert said.count("\n") == 1
    assert not state.path.exists()


def test_without_room_the_earlier_state_is_kept_and_the_next_try_is_due_later(disk, clock, capsys):
    state = StateFile(disk.folder, "key", minutes=2)
    assert state.save({"epoch": 1})
    clock.now += 120
    disk.fill(leaving=20_000)
    assert not state.save({"epoch": 2, "weight": torch.randn(100_000)})
    said = capsys.readouterr().out
    assert said.startswith(f"no state is saved, an earlier one is kept: cannot write {state.path}: ")
    assert not state.due()
    assert state.load()["epoch"] == 1
    disk.free()
    clock.now += 120
    assert state.due()
    assert state.save({"epoch": 2, "weight": torch.randn(100_000)})
    assert state.load()["epoch"] == 2
    assert state.saves == 2


def test_a_read_only_disk_ends_no_training(disk, capsys):
    state = StateFile(disk.folder, "key", minutes=2)
    with disk.read_only():
        assert not state.save({"epoch": 1})
    assert "no state is saved" in capsys.readouterr().out


def test_the_time_that_saves_take_is_counted(tmp_path, clock, monkeypatch):
    def save(path, value):
        clock.now += 3

    monkeypatch.setattr(state_module, "save_tensors", save)
    state = StateFile(tmp_path, "key", minutes=2)
    for _ in range(2):
        clock.now += 100
        state.save({})
    assert (state.saves, state.seconds) == (2, 6)


def test_a_state_can_be_deleted_whether_it_is_there_or_not(tmp_path):
    state = StateFile(tmp_path, "key", 10)
    state.save({})
    state.delete()
    assert list(tmp_path.iterdir()) == []
    state.delete()


def test_a_state_is_due_once_the_interval_has_passed_since_start_or_last_save(tmp_path, clock):
    state = StateFile(tmp_path, "key", minutes=2)
    due = []
    for seconds in (0, 119, 1):
        clock.now += seconds
        due.append(state.due())
    state.save({})
    for seconds in (0, 119, 1, 500):
        clock.now += seconds
        due.append(state.due())
    assert due == [False, False, True, False, False, True, True]


def test_an_interval_of_zero_minutes_is_always_due(tmp_path, clock):
    state = StateFile(tmp_path, "key", minutes=0)
    assert state.due()
    state.save({})
    assert state.due()


def receive(stop, *numbers):
    """Let signals arrive while a stop may be requested."""
    with stop:
        for number in numbers:
            signal.raise_signal(number)


@EACH
def test_the_first_signal_only_asks_to_save_and_stop(number, capsys):
    stop = StopRequest()
    assert stop.signal is None
    receive(stop, number)
    assert stop.signal == number
    assert capsys.readouterr().out == f"received {number.name}: saving the state after this step\n"


def test_a_signal_that_stands_for_another_is_told_as_that_one():
    with StopRequest({signal.SIGUSR1: signal.SIGTERM}) as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
    assert stop.signal == signal.SIGTERM


def test_signals_are_taken_back_from_who_took_them_over():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


@EACH
@pytest.mark.parametrize("first", STOPPING)
def test_the_second_signal_ends_the_process_with_128_plus_its_number(first, number):
    stop = StopRequest()
    with pytest.raises(SystemExit) as ended:
        receive(stop, first, number)
    assert ended.value.code == 128 + number
    assert stop.signal == first


@EACH
def test_a_process_that_does_not_stop_ends_at_the_second_signal(start, number):
    process = start(STOP)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline().startswith(f"received {number.name}: ")
    assert process.stdout.readline() == "saving\n"
    process.send_signal(number)
    assert process.wait() == 128 + number


def never(number, frame):
    raise AssertionError("this handler is only ever put back")


@pytest.fixture
def handlers():
    """Handlers of the test's own, and a function that tells those at work."""
    before = {number: signal.signal(number, never) for number in STOPPING}
    yield lambda: [signal.getsignal(number) for number in before]
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_is_ignored_stays_so_as_under_nohup(handlers, capsys):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopRequest()
    receive(stop, signal.SIGHUP)
    assert stop.signal is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    receive(stop, signal.SIGTERM)
    assert stop.signal == signal.SIGTERM


def test_handlers_are_restored_after_a_training(handlers):
    with StopRequest():
        assert never not in handlers()
    assert handlers() == [never] * 3


def test_handlers_are_restored_after_an_error(handlers):
    with pytest.raises(KeyError), StopRequest():
        raise KeyError
    assert handlers() == [never] * 3


def test_handlers_are_restored_after_a_second_signal(handlers):
    with pytest.raises(SystemExit):
        receive(StopRequest(), signal.SIGINT, signal.SIGINT)
    assert handlers() == [never] * 3


def test_an_interruption_is_told_to_the_user_and_carries_its_exit_code():
    stopped = Interrupted("stopped at epoch 1", 143)
    assert isinstance(stopped, CassleError)
    assert (str(stopped), stopped.exit_code) == ("stopped at epoch 1", 143)
