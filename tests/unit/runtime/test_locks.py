"""Locks of the kernel: who may train in a folder, and which of Snakemake's own locks are stale."""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cassle.core.errors import CassleError
from cassle.runtime import locks
from cassle.runtime.locks import at_work, clear_stale, exclusive, holder, on_guard

PATIENCE = 60
"""Seconds after which a process is killed, so that one that never answers fails its test and holds up no other."""

INSIDE = """
import sys
from pathlib import Path
from cassle.runtime.locks import exclusive
with exclusive(Path(sys.argv[1])):
    Path(sys.argv[1], "entered").touch()
    print("inside", flush=True)
    sys.stdin.readline()
"""

COUNT = """
import os, sys, time
from pathlib import Path
from cassle.runtime.locks import exclusive
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
for _ in range(rounds):
    with exclusive(folder):
        os.close(os.open(folder / "occupied", os.O_CREAT | os.O_EXCL))
        time.sleep(0.005)
        (folder / "occupied").unlink()
"""


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


def signed(pid):
    """What a process of this machine signs with."""
    return f"{pid} on {os.uname().nodename}"


def test_processes_are_never_inside_at_once(start, tmp_path):
    # A process that enters while the file of another is there fails, because the file must be new.
    running = [start(COUNT, tmp_path / "run", 15) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]


def test_the_second_waits_saying_for_whom_and_enters_after_the_first(start, tmp_path):
    folder = tmp_path / "deep" / "run"
    with exclusive(folder):
        waiter = start(INSIDE, folder)
        assert waiter.stdout.readline() == f"waiting for process {signed(os.getpid())}, which still trains {folder}\n"
        time.sleep(0.1)
        assert not (folder / "entered").exists()
        assert holder(folder) == signed(os.getpid())
    assert waiter.stdout.readline() == "inside\n"
    assert holder(folder) == signed(waiter.pid)


def test_a_free_folder_is_entered_without_a_word(tmp_path, capsys):
    for _ in range(2):
        with exclusive(tmp_path):
            pass
    assert capsys.readouterr().out == ""


def test_a_forked_child_that_lives_on_holds_nothing(tmp_path):
    with exclusive(tmp_path):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        assert holder(tmp_path) is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_folders_of_other_trainings_are_not_held(start, tmp_path):
    with exclusive(tmp_path / "one"):
        assert start(INSIDE, tmp_path / "two").stdout.readline() == "inside\n"


def test_killing_the_holder_lets_the_waiter_in(start, tmp_path):
    holder = start(INSIDE, tmp_path)
    assert holder.stdout.readline() == "inside\n"
    waiter = start(INSIDE, tmp_path)
    assert waiter.stdout.readline() == f"waiting for process {signed(holder.pid)}, which still trains {tmp_path}\n"
    holder.kill()
    assert holder.wait() == -signal.SIGKILL
    assert waiter.stdout.readline() == "inside\n"


def test_an_error_inside_lets_the_next_one_in(start, tmp_path):
    with pytest.raises(KeyError), exclusive(tmp_path):
        raise KeyError
    assert start(INSIDE, tmp_path).stdout.readline() == "inside\n"


def test_a_waiting_process_can_be_ended(start, tmp_path):
    with exclusive(tmp_path):
        waiter = start(INSIDE, tmp_path)
        waiter.stdout.readline()
        waiter.terminate()
        assert waiter.wait() == -signal.SIGTERM


def test_a_free_folder_has_no_holder(tmp_path):
    assert holder(tmp_path) is None
    with exclusive(tmp_path):
        pass
    assert holder(tmp_path) is None
    assert holder(tmp_path / "nowhere") is None


def test_looking_on_does_not_make_a_trainer_wait(start, tmp_path, monkeypatch):
    # A look takes a shared lock for a moment; here the moment lasts until the trainer has come once.
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        monkeypatch.setattr(locks.time, "sleep", lambda seconds: fcntl.flock(look, fcntl.LOCK_UN))
        monkeypatch.setattr(locks, "say", never)
        with exclusive(tmp_path):
            assert holder(tmp_path) == signed(os.getpid())


def never(*words):
    raise AssertionError(words)


def test_a_folder_that_refuses_files_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CassleError, match=f"cannot write in {tmp_path}/file: .*; fix that"),
        exclusive(tmp_path / "file"),
    ):
        pass


def test_a_disk_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, capsys):
    def refuse(lock, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(tmp_path):
        assert holder(tmp_path) is None
    assert capsys.readouterr().out == (
        f"the file system of {tmp_path} has no locks; take care that nothing else trains there\n"
    )
    assert clear_stale(tmp_path / "guard", tmp_path) is None
    (tmp_path / "train.log").touch()
    assert not at_work(tmp_path / "train.log")
    with pytest.raises(OSError, match="No locks available"):
        on_guard(tmp_path / "guard")


LOG = """
import sys
from cassle.runtime.locks import hold_log
hold_log()
print("at work", file=sys.stderr, flush=True)
sys.stdin.readline()
"""


def test_a_log_is_held_by_the_process_that_writes_it_however_that_ends(tmp_path):
    path = tmp_path / "knn.log"
    assert not at_work(path)
    with path.open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", LOG], stdin=subprocess.PIPE, stderr=log)
    while not path.read_text():
        time.sleep(0.01)
    assert at_work(path)
    process.kill()
    process.wait()
    assert not at_work(path)


@pytest.fixture
def project(tmp_path):
    """A folder with a guard and lock files, as Snakemake makes them."""
    (tmp_path / "locks").mkdir()
    for name in ("0.input.lock", "0.output.lock"):
        (tmp_path / "locks" / name).write_text("results/runs.csv")
    return tmp_path


STAND = """
import sys
from pathlib import Path
from cassle.runtime.locks import clear_stale
print(clear_stale(Path(sys.argv[1], "guard"), Path(sys.argv[1], "locks")), flush=True)
Path(sys.argv[1], "locks", "0.output.lock").write_text("mine")
sys.stdin.readline()
"""


def locked(project):
    return sorted(file.name for file in (project / "locks").iterdir())


def test_locks_of_a_killed_process_are_stale(start, project):
    (project / "locks/0.input.lock").unlink(), (project / "locks/0.output.lock").unlink()
    killed = start(STAND, project)
    assert killed.stdout.readline() == "None\n"
    while locked(project) != ["0.output.lock"]:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert start(STAND, project).stdout.readline() == "None\n"
    assert (project / "guard").read_text().startswith("process ")


def test_locks_of_a_living_process_stay_and_it_is_named(start, project):
    (project / "locks/0.input.lock").unlink(), (project / "locks/0.output.lock").unlink()
    living = start(STAND, project)
    living.stdout.readline()
    while locked(project) != ["0.output.lock"]:
        time.sleep(0.01)
    assert on_guard(project / "guard") == f"process {signed(living.pid)}"
    for _ in range(2):
        other = start(STAND, project)
        assert other.stdout.readline() == f"process {living.pid} on {os.uname().nodename}\n"
        assert locked(project) == ["0.output.lock"]


def test_locks_that_another_machine_may_hold_stay(start, project):
    (project / "guard").write_text("process 1 on another-machine")
    assert start(STAND, project).stdout.readline() == "None\n"
    assert "0.input.lock" in locked(project)
    assert (project / "guard").read_text() == "process 1 on another-machine"


def test_without_locks_another_machine_hands_the_folder_over(start, project):
    (project / "guard").write_text("process 1 on another-machine")
    (project / "locks/0.input.lock").unlink(), (project / "locks/0.output.lock").unlink()
    first = start(STAND, project)
    assert first.stdout.readline() == "None\n"
    assert (project / "guard").read_text().split()[-1] == os.uname().nodename


def test_looking_at_a_guard_hides_no_stale_locks(start, project, monkeypatch):
    assert on_guard(project / "guard") is None
    (project / "guard").write_text(f"process {signed(1)}")
    with (project / "guard").open() as look:
        fcntl.flock(look, fcntl.LOCK_EX)
        monkeypatch.setattr(locks.time, "sleep", lambda seconds: fcntl.flock(look, fcntl.LOCK_UN))
        assert clear_stale(project / "guard", project / "locks") is None
    assert locked(project) == []
