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
    """A copy of the project in its own folder; its jobs run the copied code."""

    folder: Path

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run Snakemake and return its exit code and its whole output."""
        done = subprocess.run(
            [SNAKEMAKE, "--cores", "2", *arguments],
            cwd=self.folder,
            env={**self.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in its own session, with its output in ``output.log``, and return its process."""
        with (self.folder / "output.log").open("a") as output:
            return subprocess.Popen(
                [SNAKEMAKE, "--cores", "2", *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """Return the environment variables without an activated environment, with the copied code first."""
        others = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != BIN]
        return {**os.environ, "PYTHONPATH": str(self.folder), "PATH": os.pathsep.join(others)}

    def plan(self, *arguments: str) -> Counter:
        """Return rule -> number of jobs of a dry run, without the target rule."""
        code, output = self.run("-n", *arguments)
        assert code == 0, output
        return planned_jobs(output)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the copy."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def copy(self, folder: Path) -> "Project":
        """Return a copy with the same results and modification times."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def planned_jobs(output: str) -> Counter:
    """Return rule -> number of jobs from the table that a dry run prints."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return Counter({name: int(count) for name, count in rows if name not in ("all", "tables", "figures", "report")})


def copy_of_the_project(folder: Path) -> Project:
    """Return a fresh copy of the files that a run needs, without results."""
    ignore = shutil.ignore_patterns("__pycache__", "results", ".snakemake")
    for name in ("cassle", "workflow", "config"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
    shutil.copy(REPOSITORY / "environment.yml", folder)
    (folder / "tiny.yaml").write_text(STUDY)
    return Project(folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A copy of the project without results."""
    return copy_of_the_project(tmp_path_factory.mktemp("fresh") / "project")
