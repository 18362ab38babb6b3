"""A study whose trainers and Snakemakes are killed at random moments ends in the same files as an undisturbed one.

`pytest tests/torture/test_random_kills.py --kills 200 --kill-seed 7` is the long variant.
"""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.torture.study import PATIENCE, Study, kill, wait_for

VICTIMS = ("trainer", "Snakemake", "both", "everything, and a state is damaged")
USUAL = 20


@pytest.fixture
def pair(request, tmp_path, kills) -> Iterator[tuple[Study, Study]]:
    """The undisturbed study and the one to be killed; the studies are larger for more kills."""
    if kills <= USUAL:
        whole = request.getfixturevalue("undisturbed")
        broken = Study(tmp_path / "broken").write()
    else:
        size = {"objectives": "simclr, barlow_twins", "seeds": "0, 1", "epochs": 30 + kills // 2}
        whole, broken = Study(tmp_path / "whole").write(**size), Study(tmp_path / "broken").write(**size)
        assert whole.run(patience=20 * PATIENCE) == 0, whole.output()
    yield whole, broken
    broken.end()


def states(study: Study) -> set[tuple[str, int]]:
    """Return every training state with its modification time."""
    found = set()
    for file in study.folder.rglob("state.pt"):
        try:
            found.add((str(file), file.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def wait_for_a_moment(study: Study, running: subprocess.Popen, rng: random.Random) -> None:
    """Wait at random: mostly until training states were saved a few times, else for some seconds."""
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0, 5))
        return
    for _ in range(rng.randint(1, 4)):
        before = states(study)
        wait_for(lambda before=before: running.poll() is not None or states(study) - before, "a state was saved")
    time.sleep(rng.uniform(0, 0.2))


def strike(study: Study, running: subprocess.Popen, victim: str, rng: random.Random) -> None:
    """Kill the victim; without a trainer, kill another job or Snakemake."""
    jobs = study.processes("cassle train") or study.processes("cassle ")
    if victim == "trainer" and jobs:
        kill(rng.choice(jobs))
        return
    if victim != "Snakemake":
        for pid in jobs:
            kill(pid)
    kill(running.pid)
    running.wait(PATIENCE)
    if victim == VICTIMS[-1]:
        study.end()
        for file in sorted(study.folder.rglob("state.pt"))[:1]:
            content = file.read_bytes()
            file.write_bytes(content[: rng.randint(0, len(content))])


def test_random_kills_change_nothing(pair, kills, kill_seed, record_property):
    whole, broken = pair
    rng = random.Random(kill_seed)
    struck: Counter[str] = Counter()
    starts, began = 1, time.monotonic()
    running = broken.start()
    while struck.total() < kills:
        wait_for_a_moment(broken, running, rng)
        if running.poll() is not None:
            if running.returncode == 0:
                break
            starts, running = starts + 1, broken.start()
            continue
        victim = rng.choice(VICTIMS)
        strike(broken, running, victim, rng)
        struck[victim] += 1
        if running.poll() is not None:
            starts, running = starts + 1, broken.start()
    running.wait(20 * PATIENCE)
    code = broken.run(patience=20 * PATIENCE)
    assert code == 0, broken.output()
    wait_for(lambda: not broken.processes(), "the last orphan had ended")
    victims = ", ".join(f"{victim} {count}" for victim, count in sorted(struck.items()))
    took = f"{starts} starts, {time.monotonic() - began:.0f} s"
    record_property("kills", f"seed {kill_seed}: {struck.total()} kills ({victims}), {took}")
    assert struck.total() > kills / 2
    assert broken.contents() == whole.contents()
    assert broken.leftovers() == []
