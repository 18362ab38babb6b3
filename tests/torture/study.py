"""A shortened default study in its own folder, its processes, and the results that have to be equal at the end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cassle.models.checkpoints import load_checkpoint
from tests.workflow.conftest import REPOSITORY, SNAKEMAKE

SETTINGS = """
name: killed
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [{objectives}]
strategies: [{strategies}]
seeds: [{seeds}]
probes: [knn]
figures: []
training: {{epochs: {epochs}, batch_size: 256}}
execution: {{device: cpu, state_minutes: {minutes}}}
"""
DEFAULTS = {
    "objectives": "barlow_twins",
    "strategies": "finetune, cassle",
    "seeds": "0",
    "epochs": 15,
    "minutes": 0.001,
}
PATIENCE = 300
"""Seconds to wait for an event before a test fails, also on a loaded machine."""
ALL = "results/runs.csv"


@dataclass
class Study:
    """A folder with a study, and the sessions of the processes that run in it."""

    folder: Path
    sessions: list[int] = field(default_factory=list)

    def write(self, **changes: Any) -> "Study":
        """Write the study's settings: the defaults with these changes."""
        self.folder.mkdir(parents=True)
        (self.folder / "killed.yaml").write_text(SETTINGS.format(**{**DEFAULTS, **changes}))
        return self

    def start(self, target: str = ALL, how: tuple[str, ...] = ("--cores", "2")) -> subprocess.Popen:
        """Start Snakemake in its own session, with its output in ``output.log``."""
        command = [SNAKEMAKE, target, *how, "-s", str(REPOSITORY / "workflow/Snakefile")]
        with (self.folder / "output.log").open("w") as output:
            running = subprocess.Popen(
                [*command, "--configfile", "killed.yaml"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions.append(running.pid)
        return running

    def run(self, target: str = ALL, patience: float = PATIENCE) -> int:
        """Run Snakemake to its end and return its exit code; ``patience`` in seconds."""
        return self.start(target).wait(patience)

    def output(self) -> str:
        """Return the output of the latest Snakemake so far."""
        return (self.folder / "output.log").read_text()

    def processes(self, text: str = "") -> list[int]:
        """Return the running processes of all sessions whose command line contains a text."""
        return [pid for pid, command in processes_of(self.sessions) if text in command]

    def end(self) -> None:
        """Kill the processes that still run."""
        for pid in self.processes():
            kill(pid)

    def file(self, name: str) -> Path:
        """Return a file of the run's second task."""
        return next(self.folder.glob("results/digits-domain2/conv3-narrow/*/cassle/seed0/task1")) / name

    def contents(self) -> dict[str, Any]:
        """Return the results to compare: tensors and metadata of checkpoints, metrics, rows."""
        root = self.folder / "results"
        found: dict[str, Any] = {
            str(file.relative_to(root)): load_checkpoint(file).fingerprint for file in root.rglob("checkpoint.pt")
        }
        found |= {str(file.relative_to(root)): file.read_text() for file in root.rglob("metrics.jsonl")}
        return found | {file.name: file.read_text() for file in root.glob("runs.csv")}

    def leftovers(self) -> list[str]:
        """Return files that only an unfinished training may have."""
        names = ("*.partial", "state.pt", "progress.json", "failed.json", "*.failed")
        return [str(file) for name in names for file in (self.folder / "results").rglob(name)]


def processes_of(sessions: list[int]) -> list[tuple[int, str]]:
    """Return the running processes of sessions, each with its command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            facts = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # the process has just ended
            continue
        if int(facts[3]) in sessions and facts[0] != "Z":
            found.append((int(folder.name), command))
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_for(condition: Callable[[], Any], expected: str, patience: float = PATIENCE) -> Any:
    """Wait until a condition holds and return its value; ``expected`` describes it in the error."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            if found := condition():
                return found
        except (OSError, ValueError, StopIteration):  # files that appear and disappear
            pass
        time.sleep(0.02)
    raise AssertionError(f"timed out waiting until {expected}")


def trainer(study: Study, other_than: int = 0) -> int:
    """Wait until the second task is in the middle of its training, and return its process."""

    def look() -> int:
        assert study.processes(), study.output()
        beat = json.loads(study.file("progress.json").read_text())
        alive = beat["pid"] != other_than and beat["pid"] in study.processes("train")
        return beat["pid"] if alive and study.file("state.pt").is_file() else 0

    return wait_for(look, "the second task was in the middle of its training")


def wait_for_log(study: Study, text: str) -> None:
    """Wait until the log of the second task contains a text."""
    wait_for(lambda: text in study.file("train.log").read_text(), f"the log contained: {text}")
