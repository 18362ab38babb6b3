"""Whole workflows on a copy of the project: a study of two tasks, a narrow network and one epoch."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SNAKEMAKE = str(BIN / "snakemake")
STUDY = """
name: tiny
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [simclr, barlow_twins]
strategies: [finetune, cassle]
offline: true
probes: [knn, online]
training: {epochs: 1, batch_size: 512}
execution: {device: cpu}
"""


@dataclass
class Project:
    """A copy of the project in a folder of its own; jobs in it run the copied code."""

    folder: Path

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        """Run Snakemake and return its exit code and everything it said."""
        done = subprocess.run(
            [SNAKEMAKE, "--cores", "2", *words],
            cwd=self.folder,
            env={**self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def start(self, *words: str) -> subprocess.Popen:
        """Start Snakemake in a session of its own and return at once; what it says goes into a file."""
        with (self.folder / "said.log").open("a") as said:
            return subprocess.Popen(
                [SNAKEMAKE, "--cores", "2", *words],
                cwd=self.folder,
                env=self.environment(),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """Return an environment that is not activated, with the copied code first."""
        others = [place for place in os.environ["PATH"].split(os.pathsep) if Path(place) != BIN]
        return {**os.environ, "PYTHONPATH": str(self.folder), "PATH": os.pathsep.join(others)}

    def plan(self, *words: str) -> Counter:
        """Return rule -> number of jobs of a dry run; the target rule itself is left out."""
        code, said = self.run("-n", *words)
        assert code == 0, said
        return planned_jobs(said)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the copy."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def copy(self, folder: Path) -> "Project":
        """Return a copy that has the same results, with the same times."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def planned_jobs(said: str) -> Counter:
    """Return rule -> number of jobs from the table that a dry run prints."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", said, re.MULTILINE | re.DOTALL)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return Counter({name: int(count) for name, count in rows if name not in ("all", "tables", "figures", "report")})


def copy_of_the_project(folder: Path) -> Project:
    """Return a fresh copy of what a run needs, without results."""
    ignore = shutil.ignore_patterns("__pycache__", "results", ".snakemake")
    for name in ("cassle", "workflow", "config"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
    shutil.copy(REPOSITORY / "environment.yml", folder)
    (folder / "tiny.yaml").write_text(STUDY)
    return Project(folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A copy of the project in which nothing has run."""
    return copy_of_the_project(tmp_path_factory.mktemp("fresh") / "project")
