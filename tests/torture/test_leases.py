"""Two Snakemakes share two simulated GPUs, while they and their jobs are killed at random moments."""

import fcntl
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cassle.runtime.gpus import BATCH_SYSTEMS, lease
from tests.torture.study import PATIENCE, kill, processes_of, wait_for
from tests.workflow.conftest import REPOSITORY, SNAKEMAKE

SNAKEFILE = str(REPOSITORY / "tests/torture/leases/Snakefile")
JOBS = {"one": {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, "two": {"f": 1, "both": 2, "g": 1, "h": 1, "i": 1}}
"""Snakemake -> job -> number of GPUs that it leases."""
DEVICES = ["0", "1"]
KILLS = 12


class Machine:
    """A folder for each Snakemake, and the sessions that run there."""

    def __init__(self, folder: Path, share: int) -> None:
        self.folder, self.share = folder, share
        self.sessions: list[int] = []
        self.running = {name: self.start(name) for name in JOBS}

    def start(self, name: str) -> subprocess.Popen:
        """Start a Snakemake."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        options = ["--cores", "5", "--nolock", "--keep-going", "--rerun-incomplete", "-s", SNAKEFILE]
        settings = ["--config", f"jobs={json.dumps(JOBS[name])}", f"share={self.share}"]
        with (place / "output.log").open("a") as output:
            running = subprocess.Popen(
                [SNAKEMAKE, *options, *settings], cwd=place, stdout=output, stderr=output, start_new_session=True
            )
        self.sessions.append(running.pid)
        return running

    def done(self) -> bool:
        """Return whether both have finished; one that has ended without finishing is started again."""
        for name, running in self.running.items():
            if running.poll() not in (None, 0):
                self.running[name] = self.start(name)
        return all(running.poll() == 0 for running in self.running.values())

    def jobs(self) -> list[int]:
        """Return the processes of all jobs, orphans included."""
        return [pid for pid, command in processes_of(self.sessions) if "hold.py" in command and " -c " not in command]

    def strike(self, rng: random.Random) -> str:
        """Kill a job or, less often, a Snakemake, and return which."""
        if (jobs := self.jobs()) and rng.random() < 0.7:
            kill(rng.choice(jobs))
            return "job"
        victim = self.running[rng.choice(list(JOBS))]
        victim.kill()
        victim.wait(PATIENCE)
        return "Snakemake"

    def held(self) -> list[tuple[list[str], float, float]]:
        """Return devices, start and end of every lease."""
        found = []
        for file in self.folder.glob("*/*.beats"):
            beats = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
            if beats:
                found.append((beats[0][0].split(","), beats[0][1], beats[-1][1]))
        return found

    def end(self) -> None:
        """Kill the processes that still run."""
        for pid, _ in processes_of(self.sessions):
            kill(pid)


def most_at_once(held: list[tuple[list[str], float, float]], device: str) -> int:
    """Return the largest number of leases of a device at one time."""
    spans = [(begin, end) for devices, begin, end in held if device in devices]
    return max(sum(begin <= at <= end for begin, end in spans) for at, _ in spans)


def taken(folder: Path) -> list[str]:
    """Return the locks of a directory that a process holds."""
    found = []
    for file in folder.iterdir():
        with file.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(file.name)
    return found


@pytest.fixture(params=[1, 2], ids=lambda share: f"{share} jobs per GPU")
def machine(request, tmp_path, monkeypatch) -> Iterator[Machine]:
    """Two simulated GPUs with locks of their own, and two Snakemakes that have just started."""
    for name in (*BATCH_SYSTEMS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("CASSLE_DEVICES", ",".join(DEVICES))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    machine = Machine(tmp_path, request.param)
    yield machine
    machine.end()


def test_random_kills_never_leave_two_jobs_on_one_device_nor_a_slot_taken(machine, kill_seed, record_property):
    rng, struck, began = random.Random(kill_seed), Counter[str](), time.monotonic()
    wait_for(machine.jobs, "the first job had begun")
    while not machine.done() and struck.total() < KILLS:
        time.sleep(rng.uniform(0.1, 0.7))
        struck[machine.strike(rng)] += 1
    wait_for(machine.done, "every job had finished")
    wait_for(lambda: not processes_of(machine.sessions), "the last orphan had ended")
    victims = ", ".join(f"{victim} {count}" for victim, count in sorted(struck.items()))
    took = f"{len(machine.sessions)} starts, {time.monotonic() - began:.0f} s"
    record_property("kills", f"leases, seed {kill_seed}: {struck.total()} kills ({victims}), {took}")

    assert struck.total() > KILLS / 2
    assert {file.stem for file in machine.folder.glob("*/*.done")} == {name for jobs in JOBS.values() for name in jobs}
    held = machine.held()
    assert max(most_at_once(held, device) for device in DEVICES) <= machine.share
    assert any(devices == DEVICES for devices, _, _ in held)
    assert taken(machine.folder / "run/cassle") == []
    with ExitStack() as every:
        slots = [every.enter_context(lease(2, machine.share, timeout=0)) for _ in range(machine.share)]
        assert slots == [DEVICES] * machine.share
