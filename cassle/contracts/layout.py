"""The layout of results: every path is formatted and parsed here, and every file name is written here once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

from cassle.core.errors import DataError

RESULTS = "results"
"""The directory of results, relative to the working directory of the workflow; it may be a symbolic link."""

FIRST = "first"
"""The strategy's component in the path of a first task that strategies share."""
RANDOM = "random"
"""The objective's component in the path of the untrained network; in tables, the strategy."""
OFFLINE = "offline"
"""The strategy of joint training on all data, in tables."""
GIVEN = "given"
"""Value of the execution settings in the record of a checkpoint that was trained elsewhere."""
ONLINE = "online"
"""The probe that is trained beside the network, and read from its checkpoint."""

CHECKPOINT, RECORD, MEMORY = "checkpoint.pt", "train.json", "memory.pt"
METRICS, PROGRESS, STATE = "metrics.jsonl", "progress.json", "state.pt"
FAILURE = "failed.json"
STUDY, PLAN = "study.json", "plan.json"
TASK_FOLDER = f"{RESULTS}/{{stream}}/{{backbone}}/{{objective}}/{{strategy}}/seed{{seed}}/task{{task}}"
"""The directory of one task of a run, with the wildcards of the workflow."""
RANDOM_FOLDER = f"{RESULTS}/{{stream}}/{{backbone}}/{RANDOM}/seed{{seed}}"
"""The directory of the untrained network, with the wildcards of the workflow."""
PROBES = "probes/{evaluation}/{probes}"
"""The stem of the accuracies of a checkpoint below its directory, with the wildcards of the workflow."""
FEATURES = "features/{evaluation}"
"""The stem of the features of a checkpoint below its directory, with the wildcards of the workflow."""
RUNS, BENCHMARK = f"{RESULTS}/runs.csv", f"{RESULTS}/benchmark.csv"


@dataclass(frozen=True, order=True)
class TaskFolder:
    """The directory of one task of a run: results/<stream>/<backbone>/<objective>/<strategy>/seed<k>/task<t>."""

    stream: str
    backbone: str
    objective: str
    strategy: str
    seed: int
    task: int

    def __str__(self) -> str:
        return self._path

    @cached_property
    def _path(self) -> str:  # asked for many times for each of thousands of jobs
        return TASK_FOLDER.format(**vars(self))

    @classmethod
    def parse(cls, path: str | PurePath) -> TaskFolder:
        """Return the task that a directory belongs to; only the last six components count.

        Raises `DataError` for the directory of anything else.
        """
        *_, stream, backbone, objective, strategy, seed, task = _names(path, 6)
        return cls(stream, backbone, objective, strategy, _number(path, seed, "seed"), _number(path, task, "task"))

    @property
    def run(self) -> str:
        """The run below the directory of results: what all of its tasks have in common."""
        return str(PurePosixPath(str(self)).parent.relative_to(RESULTS))

    @property
    def checkpoint(self) -> str:
        """The path of the checkpoint."""
        return f"{self}/{CHECKPOINT}"

    @property
    def record(self) -> str:
        """The path of the record of the training."""
        return f"{self}/{RECORD}"

    @property
    def memory(self) -> str:
        """The path of the memory that the strategy keeps after this task."""
        return f"{self}/{MEMORY}"

    @property
    def log(self) -> str:
        """The path of the training's log."""
        return f"{self}/train.log"

    @property
    def metrics(self) -> str:
        """The path of the metrics, one line per epoch."""
        return f"{self}/{METRICS}"

    def features(self, evaluation: str) -> str:
        """Return the path of the features of a stream's test images."""
        return f"{self}/{FEATURES.format(evaluation=evaluation)}.npz"


@dataclass(frozen=True, order=True)
class RandomFolder:
    """The directory of the untrained network: results/<stream>/<backbone>/random/seed<k>."""

    stream: str
    backbone: str
    seed: int

    def __str__(self) -> str:
        return RANDOM_FOLDER.format(**vars(self))

    @classmethod
    def parse(cls, path: str | PurePath) -> RandomFolder:
        """Return the untrained network that a directory belongs to; `DataError` for any other directory."""
        *_, stream, backbone, random, seed = _names(path, 4)
        if random != RANDOM:
            raise DataError(f"{path} is not the directory of an untrained network: it lacks '{RANDOM}'")
        return cls(stream, backbone, _number(path, seed, "seed"))


@dataclass(frozen=True, order=True)
class ProbeFile:
    """The accuracies of a checkpoint or of the untrained network: <folder>/probes/<stream>/<probes>.json."""

    folder: TaskFolder | RandomFolder
    evaluation: str
    probes: str

    def __str__(self) -> str:
        return f"{self.directory}/{self.probes}.json"

    @property
    def directory(self) -> str:
        """The directory of the accuracies of one checkpoint on one stream, whatever the probes."""
        return f"{self.folder}/probes/{self.evaluation}"

    @property
    def log(self) -> str:
        """The path of the log."""
        return f"{self.directory}/{self.probes}.log"

    @classmethod
    def parse(cls, path: str | PurePath) -> ProbeFile:
        """Return the checkpoint, stream and probes of a file of accuracies; `DataError` for any other path."""
        place = PurePosixPath(path)
        if place.suffix != ".json" or place.parent.parent.name != "probes" or len(place.parts) < 7:
            raise DataError(f"{path} is not a file of accuracies, such as {RESULTS}/.../probes/<stream>/<probes>.json")
        folder = place.parent.parent.parent
        kind = TaskFolder if re.match(r"task\d", folder.name) else RandomFolder
        return cls(kind.parse(folder), place.parent.name, place.stem)


@dataclass(frozen=True)
class StudyFolder:
    """The directory of what a study shows: results/studies/<name>."""

    name: str

    def __str__(self) -> str:
        return f"{RESULTS}/studies/{self.name}"

    @property
    def study(self) -> str:
        """The path of the record of what the tables show."""
        return f"{self}/{STUDY}"

    @property
    def plan(self) -> str:
        """The path of the record of what was planned last."""
        return f"{self}/{PLAN}"

    @property
    def page(self) -> str:
        """The path of the report on one page."""
        return f"{self}/report.html"

    @property
    def workflow(self) -> str:
        """The path of Snakemake's own report."""
        return f"{self}/workflow.html"

    def table(self, stream: str, probe: str, suffix: str = ".md") -> str:
        """Return the path of a table."""
        return f"{self}/tables/{stream}/{probe}{suffix}"

    def figure(self, stream: str, probe: str, figure: str, suffix: str = ".pdf") -> str:
        """Return the path of a figure of accuracies."""
        return f"{self}/figures/{stream}/{probe}/{figure}{suffix}"

    def feature_figure(self, stream: str, figure: str, suffix: str = ".pdf") -> str:
        """Return the path of a figure of features."""
        return f"{self}/features/{stream}/{figure}{suffix}"

    def timeline(self, suffix: str = ".pdf") -> str:
        """Return the path of the timeline."""
        return f"{self}/timeline{suffix}"

    @staticmethod
    def root_of(study: Path) -> Path:
        """Return the working directory of the workflow that a study's directory belongs to.

        Paths are not resolved: ``results`` may be a symbolic link to a directory of another name.
        """
        return StudyFolder.results_of(study).parent

    @staticmethod
    def results_of(study: Path) -> Path:
        """Return the directory of results that a study's directory belongs to, whatever its name."""
        return Path(os.path.abspath(study)).parents[1]


def features_of(path: str | PurePath) -> tuple[TaskFolder, str]:
    """Return the checkpoint and the stream of a file of features; `DataError` for any other path."""
    place = PurePosixPath(path)
    if place.suffix != ".npz" or place.parent.name != "features" or len(place.parts) < 8:
        raise DataError(f"{path} is not a file of features, such as {RESULTS}/.../features/<stream>.npz")
    return TaskFolder.parse(place.parent.parent), place.stem


def probed_folder(file: Path) -> Path:
    """Return the existing directory of the checkpoint, or of the untrained network, of a file of accuracies."""
    return file.parent.parent.parent


def index_file(label: str) -> str:
    """Return the path of a dataset's index; ``label``: `Stream.index`."""
    return f"{RESULTS}/data/{label}/index.npz"


def split_file(stream: str) -> str:
    """Return the path of a stream's split into tasks."""
    return f"{RESULTS}/{stream}/split.npz"


def tracking_folder(root: Path, tracker: str) -> Path:
    """Return the directory of what a tracker keeps."""
    return root / RESULTS / "tracking" / tracker


def _names(path: str | PurePath, count: int) -> tuple[str, ...]:
    names = PurePosixPath(path).parts
    if len(names) < count:
        raise DataError(f"{path} has too few components for a directory of results; name one below {RESULTS}/")
    return names[-count:]


def _number(path: str | PurePath, name: str, word: str) -> int:
    number = name.removeprefix(word)
    if not (name.startswith(word) and number.isascii() and number.isdigit()) or number != str(int(number)):
        raise DataError(f"{path}: '{name}' should be '{word}' and a number; rename that directory, or move it away")
    return int(number)
