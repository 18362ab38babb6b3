"""Leases of GPUs: pretend devices, real processes, real locks."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import combinations

import pytest

from cassle.core.errors import CassleError
from cassle.runtime import gpus as devices
from cassle.runtime.gpus import BATCH_SYSTEMS, lease
from tests.unit.machine import smi_of_two_gpus

JOB = """
import json, os, sys, time
from cassle.runtime import gpus as devices
devices.POLL = 0.02
count, hold, out = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
with devices.lease(count, timeout=60) as held:
    begin = time.monotonic()
    with open(out, "w") as file:
        json.dump(held, file)
    time.sleep(hold)
    end = time.monotonic()
    with open(out + ".done", "w") as file:
        json.dump({"devices": held, "begin": begin, "end": end, "pid": os.getpid()}, file)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine of two pretend devices, with locks and programs of its own."""
    for name in (*BATCH_SYSTEMS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    programs, runtime = tmp_path / "bin", tmp_path / "run"
    programs.mkdir(), runtime.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("CASSLE_DEVICES", "0,1")
    monkeypatch.setattr(devices, "POLL", 0.02)
    return programs


@pytest.fixture
def start(tmp_path):
    """Starts a job in a process of its own, and ends what is left of it after the test."""
    started = []

    def run(name, count=1, hold=0.05, pool="0,1"):
        out = tmp_path / name
        arguments = [sys.executable, "-c", JOB, str(count), str(hold), str(out)]
        environment = {**os.environ, "CASSLE_DEVICES": pool}
        process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
        started.append(process)
        return process, out

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.01)


def wait_for(path):
    wait_until(lambda: path.is_file() and path.read_text(), path.name)
    return json.loads(path.read_text())


def wait_for_queue(tmp_path, length):
    wait_until(lambda: len(list(tmp_path.glob("run/cassle/ticket.*"))) == length, f"a queue of {length} jobs")


def done(out):
    return wait_for(out.with_name(out.name + ".done"))


def overlaps(jobs, device):
    """The greatest number of jobs that held a device at one time."""
    spans = [(job["begin"], job["end"]) for job in jobs if device in job["devices"]]
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


def test_ten_jobs_on_two_devices_never_share_one_even_if_some_want_both(start):
    running = [start(f"job{i}", count=2 if i in (3, 7) else 1, hold=0.1) for i in range(10)]
    jobs = [done(out) for _, out in running]
    assert [process.wait() for process, _ in running] == [0] * 10
    assert [len(job["devices"]) for job in jobs] == [2 if i in (3, 7) else 1 for i in range(10)]
    assert overlaps(jobs, "0") == overlaps(jobs, "1") == 1
    spans = [(job["begin"], job["end"]) for job in jobs if len(job["devices"]) == 1]
    assert any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(spans, 2)), "both devices are used at once"


def test_a_job_that_wants_both_devices_comes_before_jobs_that_came_later(start, tmp_path):
    with lease(1):
        _, both = start("both", count=2)
        wait_for_queue(tmp_path, 1)
        later = [start(f"later{i}")[1] for i in range(3)]
        wait_for_queue(tmp_path, 4)
    begin = done(both)["begin"]
    assert all(done(out)["begin"] > begin for out in later)


def test_a_waiting_job_does_not_hold_up_jobs_that_want_other_devices(start, tmp_path, monkeypatch):
    monkeypatch.setenv("CASSLE_DEVICES", "0")
    with lease(1):
        start("waiting", pool="0")
        wait_for_queue(tmp_path, 1)
        monkeypatch.setenv("CASSLE_DEVICES", "0,1")
        with lease(1, timeout=5) as held:
            assert held == ["1"]


def test_two_jobs_that_want_both_devices_do_not_wait_for_each_other(start):
    outs = [start(f"pair{i}", count=2)[1] for i in range(4)]
    jobs = [done(out) for out in outs]
    assert all(job["devices"] == ["0", "1"] for job in jobs)
    assert overlaps(jobs, "0") == 1


def test_a_killed_job_frees_its_device(start):
    process, out = start("killed", count=2, hold=60)
    wait_for(out)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lease(2, timeout=5) as held:
        assert held == ["0", "1"]


def test_a_killed_job_that_waited_is_forgotten(start, tmp_path):
    with lease(1) as held:
        other = "1" if held == ["0"] else "0"
        waiting, _ = start("waiting", count=2)
        wait_for_queue(tmp_path, 1)
        kept = f"GPU {other} is kept for a job that waits longer"
        with pytest.raises(CassleError, match=kept), lease(1, timeout=0.1):
            pass
        waiting.send_signal(signal.SIGKILL)
        waiting.wait()
        with lease(1, timeout=5) as free:
            assert free == [other]


def test_so_many_jobs_share_a_device_as_they_allow_and_spread_first():
    with lease(1, 2) as first, lease(1, 2) as second:
        assert sorted(first + second) == ["0", "1"]
        with lease(1, 2) as third, lease(1, 2) as fourth:
            assert sorted(third + fourth) == ["0", "1"]
            with pytest.raises(CassleError), lease(1, 2, timeout=0):
                pass
        with lease(2, 2, timeout=0) as both:
            assert both == ["0", "1"]


def test_a_forked_child_that_ends_does_not_free_its_parents_device(monkeypatch):
    monkeypatch.setenv("CASSLE_DEVICES", "0")
    context = lease(1)
    with context:
        if (child := os.fork()) == 0:
            context.gen.close()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(CassleError), lease(1, timeout=0):
            pass


def test_jobs_that_would_share_stay_off_the_device_of_one_that_shares_with_nobody(monkeypatch):
    monkeypatch.setenv("CASSLE_DEVICES", "0")
    refused = pytest.raises(CassleError, match="no lease of 1 of 1 GPUs")
    with lease(1, 1), refused, lease(1, 2, timeout=0):
        pass


def test_a_job_that_shares_with_nobody_stays_off_a_shared_device():
    with lease(1, 2) as shared, lease(1, 1) as alone:
        assert shared != alone
        with pytest.raises(CassleError), lease(1, 1, timeout=0):
            pass


def test_fewer_devices_than_wanted_are_taken_as_they_are(monkeypatch):
    with lease(8) as held:
        assert held == ["0", "1"]
    monkeypatch.setenv("CASSLE_DEVICES", "1")
    with lease(2) as held:
        assert held == ["1"]


@pytest.mark.parametrize("chosen", ["", "-1", "-1,0", "NoDevFiles"])
def test_no_device_means_cpu_at_once(monkeypatch, chosen):
    monkeypatch.delenv("CASSLE_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    with lease(1) as first, lease(2) as second:
        assert first == second == []


def test_a_job_that_wants_no_gpu_takes_none():
    with lease(2), lease(0) as held:
        assert held == []


def test_a_preset_variable_is_honored(monkeypatch, machine):
    smi_of_two_gpus(machine)
    monkeypatch.delenv("CASSLE_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-dddd4444-0000, 0")
    with lease(2) as held:
        assert held == ["MIG-dddd4444-0000", "0"]


@pytest.mark.parametrize("other", ["0", "GPU-aaaa", "GPU-aaaa1111-0000"])
def test_an_index_and_a_uuid_of_one_device_collide(monkeypatch, machine, other):
    smi_of_two_gpus(machine)
    monkeypatch.setenv("CASSLE_DEVICES", "0")
    with lease(1) as held:
        assert held == ["0"]
        monkeypatch.setenv("CASSLE_DEVICES", other)
        with pytest.raises(CassleError), lease(1, timeout=0):
            pass


def test_a_device_named_twice_is_one_device(monkeypatch, machine):
    smi_of_two_gpus(machine)
    monkeypatch.setenv("CASSLE_DEVICES", "0,GPU-aaaa1111-0000")
    with lease(2) as held:
        assert held == ["0"]


@pytest.mark.parametrize("variable", BATCH_SYSTEMS)
def test_the_choice_of_a_batch_system_is_taken_without_a_lease(monkeypatch, variable):
    monkeypatch.setenv(variable, "77")
    with lease(2) as first, lease(2) as second, lease(4) as third:
        assert first == second == third == ["0", "1"]


def test_a_batch_job_that_was_given_no_device_has_none(monkeypatch, machine):
    smi_of_two_gpus(machine)
    monkeypatch.delenv("CASSLE_DEVICES")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with lease(1) as held:
        assert held == []


def test_jobs_inside_one_larger_allocation_share_it_out(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77[1].head")
    with lease(1) as first, lease(1) as second:
        assert sorted(first + second) == ["0", "1"]
        monkeypatch.setenv("SLURM_JOB_ID", "78")
        with lease(1, timeout=0) as other:
            assert other == ["0"]


def test_waiting_says_who_holds_the_devices_and_ends_in_a_message(monkeypatch, capsys):
    monkeypatch.setattr(devices, "SAY_EVERY", 0.1)
    with lease(2), pytest.raises(CassleError) as caught, lease(1, timeout=0.25):
        pass
    holder = f"GPU 0 is held by process {os.getpid()}; GPU 1 is held by process {os.getpid()}"
    assert str(caught.value).startswith(f"no lease of 1 of 2 GPUs within 0.25 s: {holder}. End what holds them")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"waiting for 1 of 2 GPUs: {holder}"
    assert len(lines) >= 2


def test_a_job_that_gave_up_leaves_the_queue():
    with lease(1, timeout=5) as held:
        with pytest.raises(CassleError), lease(2, timeout=0.1):
            pass
        with lease(1, timeout=0) as free:
            assert free != held


def test_a_folder_of_locks_that_belongs_to_somebody_else_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "cassle").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CassleError, match="belongs to another user"), lease(1):
        pass


def test_locks_lie_in_a_folder_for_the_user_alone(tmp_path):
    with lease(1):
        assert (tmp_path / "run" / "cassle").stat().st_mode & 0o777 == 0o700
