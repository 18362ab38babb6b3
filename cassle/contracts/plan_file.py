"""The plan file: the main process of the workflow writes the resolved study, and each job reads its own part.

One line of JSON per entry, so that a job finds its own among tens of thousands without parsing the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field

from cassle.contracts.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.contracts.layout import index_file, split_file
from cassle.contracts.records import Record, parse_record
from cassle.contracts.summary import StudyRecord
from cassle.core.errors import DataError, SettingsError
from cassle.core.files import canonical_json, write_with
from cassle.core.options import parse
from cassle.data.streams import Stream
from cassle.settings.site import Site

M = TypeVar("M", bound=BaseModel)
Kind = Literal["stream", "train", "memory", "probe", "study"]
PLANS = Path(".snakemake/cassle")
"""Directory of plan files below the working directory: written anew by each start, and of no use afterwards."""


class PlanHead(Record):
    """The first line of a plan file."""

    site: Site = Field(description="how jobs are executed")
    figures: dict[str, list[str]] = Field(description="name of a study -> its figures")
    features: dict[str, dict[str, list[str]]] = Field(description="name of a study -> stream -> files of features")


@dataclass(frozen=True)
class PlanFile:
    """What jobs need of a plan: where they run, and every job by its directory or file."""

    head: PlanHead
    streams: Mapping[str, Stream]
    train: Mapping[str, TrainJob]
    memory: Mapping[str, MemoryJob]
    probe: Mapping[str, ProbeJob]
    studies: Mapping[str, StudyRecord]

    def write(self, path: Path) -> None:
        """Write the plan file, completely or not at all."""
        write_with(path, lambda file: file.writelines(f"{line}\n".encode() for line in self._lines()))

    def _lines(self) -> Iterator[str]:
        yield canonical_json(self.head.as_json())
        yield from _entries("stream", self.streams)
        yield from _entries("train", self.train)
        yield from _entries("memory", self.memory)
        yield from _entries("probe", self.probe)
        yield from _entries("study", self.studies)


class JobPlan:
    """A plan file as one job reads it."""

    def __init__(self, path: Path) -> None:
        """Read a plan file; raises `DataError` as `read_record`."""
        self.path = path
        try:
            self._lines = path.read_text().split("\n")  # a path in the settings may have other line ends of Unicode
        except FileNotFoundError as error:
            raise DataError(f"there is no {path}; run the workflow, which writes it") from error
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(f"{error}") from error
        self._head = parse_record(PlanHead, self._lines[0], str(path))

    @property
    def site(self) -> Site:
        """How jobs are executed."""
        return self._head.site

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return self._entry(Stream, "stream", name, split_file(name))

    def stream_of_index(self, label: str) -> Stream:
        """Return a stream that an index is made for."""
        prefix = '["stream",'
        for line in self._lines:
            if line.startswith(prefix) and (stream := self._value(Stream, line)).index == label:
                return stream
        raise self._missing(index_file(label))

    def train_job(self, folder: str) -> TrainJob:
        """Return the training of a directory."""
        return self._entry(TrainJob, "train", folder, folder)

    def memory_job(self, folder: str) -> MemoryJob:
        """Return the memory of a directory."""
        return self._entry(MemoryJob, "memory", folder, folder)

    def probe_job(self, file: str) -> ProbeJob:
        """Return the evaluation of a file of accuracies."""
        return self._entry(ProbeJob, "probe", file, file)

    def study(self, name: str) -> StudyRecord:
        """Return what the tables of a study show."""
        return self._entry(StudyRecord, "study", name, f"study '{name}'")

    def figures(self, study: str) -> list[str]:
        """Return the paths of a study's figures."""
        return self._head.figures.get(study, [])

    def features(self, study: str, stream: str) -> list[str]:
        """Return the paths of the features that a study's figures of a stream show."""
        return self._head.features.get(study, {}).get(stream, [])

    def _entry(self, model: type[M], kind: Kind, key: str, asked: str) -> M:
        prefix = _prefix(kind, key)
        for line in self._lines:
            if line.startswith(prefix):
                return self._value(model, line)
        raise self._missing(asked)

    def _value(self, model: type[M], line: str) -> M:
        try:
            _, key, value = json.loads(line)
            return parse(model, value, f"{self.path}, {key}")
        except (ValueError, TypeError, SettingsError) as error:
            raise self._damaged(f"{error}") from error

    def _missing(self, asked: str) -> DataError:
        return DataError(f"{asked} is not part of the plan {self.path}; run the workflow again, which writes it anew")

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"cannot read {self.path}: {reason}; delete that file and run the workflow again")


def _prefix(kind: Kind, key: str) -> str:
    return f'["{kind}",{json.dumps(key, ensure_ascii=False)},'


def _entries(kind: Kind, models: Mapping[str, BaseModel]) -> Iterable[str]:
    return (f"{_prefix(kind, key)}{model.model_dump_json()}]" for key, model in models.items())
