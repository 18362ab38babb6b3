"""Processes that train together: their environment, and that none outlives the others."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cassle.core.errors import CassleError
from cassle.runtime import launch as launch_module
from cassle.runtime.launch import first, follow_parent, launch, launched, processes, stop_signals
from cassle.runtime.signals import STOPPING

ROOT = Path(__file__).parents[3]
WORKER = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from cassle.runtime.launch import follow_parent, stop_signals
follow_parent()
rank, folder = int(os.environ["RANK"]), sys.argv[1]
for reported, number in stop_signals().items():
    signal.signal(reported, lambda _, frame, number=number: sys.exit(128 + number))
open(f"{{folder}}/pid{{rank}}", "w").write(str(os.getpid()))
{body}
"""
WAIT = "time.sleep(60)"


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Function that gives the processes something to do."""

    def write(body):
        script = tmp_path / "worker.py"
        script.write_text(WORKER.format(root=str(ROOT), body=body))
        monkeypatch.setattr(launch_module, "COMMAND", (sys.executable, "-S", str(script)))
        return script

    return write


def until(said):
    """Wait for something to become true."""
    end = time.monotonic() + 20
    while not said():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def started(worker, tmp_path):
    """A process that has started two others, which wait; and the numbers of these."""
    script = worker(WAIT)
    code = (
        "import sys; from cassle.runtime import launch\n"
        f"launch.COMMAND = {(sys.executable, '-S', str(script))!r}\n"
        f"launch.launch([{str(tmp_path)!r}], 2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    files = [tmp_path / f"pid{rank}" for rank in range(2)]
    until(lambda: all(file.is_file() and file.read_text() for file in files))
    yield parent, [int(file.read_text()) for file in files]
    parent.kill()
    parent.wait()


def test_every_process_is_told_who_it_is_as_torchrun_does(worker, tmp_path):
    worker("import json; json.dump(dict(os.environ), open(f'{folder}/reported{rank}', 'w'))")
    launch([str(tmp_path)], 3)
    reported = [json.loads((tmp_path / f"reported{rank}").read_text()) for rank in range(3)]
    assert [(one["RANK"], one["LOCAL_RANK"], one["WORLD_SIZE"]) for one in reported] == [
        (str(rank), str(rank), "3") for rank in range(3)
    ]
    assert len({one["CASSLE_RENDEZVOUS"] for one in reported}) == 1
    assert {one["CASSLE_PARENT"] for one in reported} == {str(os.getpid())}


def test_the_first_process_decides_the_exit_code(worker, tmp_path):
    worker("sys.exit(3 if rank == 0 else 'cassle train: what the first one says as well')")
    with pytest.raises(SystemExit) as ended:
        launch([str(tmp_path)], 2)
    assert ended.value.code == 3


def test_a_process_that_is_killed_ends_all_and_is_named(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(launch_module, "GRACE", 0.5)
    worker(f"os.kill(os.getpid(), 9) if rank == 1 else {WAIT}")
    with pytest.raises(CassleError, match="process 1 of the 2 that train together ended with code -9"):
        launch([str(tmp_path)], 2)
    assert gone(int((tmp_path / "pid0").read_text()))


def test_an_error_in_another_process_is_told_with_its_words(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(launch_module, "GRACE", 20)  # both end by themselves
    worker("1 / 0 if rank == 1 else sys.exit(1)")
    with pytest.raises(CassleError, match=r"process 1 .* code 1, .*It said: Traceback(.|\n)*ZeroDivisionError"):
        launch([str(tmp_path)], 2)


def test_the_first_process_is_not_waited_for_when_another_gave_up(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(launch_module, "GRACE", 0.5)
    worker(f"sys.exit('cassle train: no such GPU') if rank == 1 else {WAIT}")
    with pytest.raises(CassleError, match=r"process 1 .*It said: cassle train: no such GPU"):
        launch([str(tmp_path)], 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_first_process_which_stops_the_others(started, number):
    parent, workers = started
    parent.send_signal(number)
    until(lambda: gone(workers[0]))
    assert not gone(workers[1])  # in a training it would have agreed to stop, too
    os.kill(workers[1], signal.SIGUSR1)
    assert parent.wait(20) == 128 + number


def test_processes_are_deaf_to_signals_that_their_parent_did_not_hand_on(started):
    parent, workers = started
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    assert not any(gone(pid) for pid in workers)
    assert parent.poll() is None


def test_a_second_signal_ends_all_at_once(started):
    parent, workers = started
    os.kill(workers[0], signal.SIGSTOP)
    parent.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(5) == 128 + signal.SIGTERM
    assert all(gone(pid) for pid in workers)


def test_no_process_outlives_a_parent_that_is_killed(started):
    parent, workers = started
    parent.kill()
    until(lambda: all(gone(pid) for pid in workers))


def test_a_process_whose_parent_has_ended_already_ends(monkeypatch):
    monkeypatch.setenv("CASSLE_PARENT", "1")
    monkeypatch.setattr(launch_module.sys, "platform", "elsewhere")
    with pytest.raises(SystemExit, match="the process that started this one has ended"):
        follow_parent()


def test_a_process_alone_listens_to_the_users_signals_and_is_the_first(monkeypatch):
    for name in ("CASSLE_PARENT", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    follow_parent()
    assert stop_signals() == {number: number for number in STOPPING}
    assert (first(), launched()) == (True, False)


def test_a_started_process_knows_that_it_is(monkeypatch):
    monkeypatch.setenv("CASSLE_PARENT", str(os.getppid()))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert stop_signals() == {signal.SIGUSR1: signal.SIGTERM, signal.SIGUSR2: signal.SIGINT}
    assert (first(), launched()) == (False, True)


@pytest.mark.parametrize(
    ("devices", "wanted", "batch_size", "expected"),
    [
        ([], 1, 256, 1),
        ([], 2, 256, 2),
        (["0", "1", "3"], 1, 256, 2),
        (["GPU-a", "GPU-b", "GPU-c"], 1, 192, 3),
        (["0"], 4, 256, 1),
        (["MIG-a", "MIG-b"], 1, 256, 1),
    ],
)
def test_there_is_one_process_per_device_unless_a_batch_cannot_be_shared(devices, wanted, batch_size, expected, capsys):
    assert processes(wanted, devices, batch_size) == expected
    fewer = 1 < len(devices) != expected > 1
    assert ("as no more can share a batch" in capsys.readouterr().out) == fewer
