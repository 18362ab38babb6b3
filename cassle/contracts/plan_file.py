"""The plan file: the main process of the workflow writes the resolved study, and each job reads its own part."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import Field, JsonValue

from cassle.contracts.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.contracts.layout import index_file, split_file
from cassle.contracts.records import Record, read_record, write_record
from cassle.contracts.summary import StudyRecord
from cassle.core.errors import DataError
from cassle.core.options import Options, parse
from cassle.data.streams import Stream
from cassle.settings.site import Site

M = TypeVar("M", bound=Options | Record)
PLANS = Path(".snakemake/cassle")
"""Directory of plan files below the working directory: written anew by each start, and of no use afterwards."""


class PlanFile(Record):
    """What jobs need of a plan: where they run, and every job by its directory or file."""

    site: Site
    streams: dict[str, Stream] = Field(description="name -> stream")
    train: dict[str, TrainJob] = Field(description="directory -> training")
    memory: dict[str, MemoryJob] = Field(description="directory -> memory")
    probe: dict[str, ProbeJob] = Field(description="file of accuracies -> evaluation")
    studies: dict[str, StudyRecord] = Field(description="name -> what the tables of a study show")
    figures: dict[str, list[str]] = Field(description="name of a study -> its figures")
    features: dict[str, dict[str, list[str]]] = Field(description="name of a study -> stream -> files of features")

    def write(self, path: Path) -> None:
        """Write the plan file, completely or not at all."""
        write_record(path, self)


class _Unparsed(Record):
    site: Site
    streams: dict[str, JsonValue]
    train: dict[str, JsonValue]
    memory: dict[str, JsonValue]
    probe: dict[str, JsonValue]
    studies: dict[str, JsonValue]
    figures: dict[str, list[str]]
    features: dict[str, dict[str, list[str]]]


class JobPlan:
    """A plan file as one job reads it: of thousands of entries only those that are asked for are parsed."""

    def __init__(self, path: Path) -> None:
        """Read a plan file; raises `DataError` as `read_record`."""
        self.path = path
        self._held = read_record(_Unparsed, path)

    @property
    def site(self) -> Site:
        """Where and how jobs run."""
        return self._held.site

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return self._entry(Stream, self._held.streams, name, split_file(name))

    def stream_of_index(self, label: str) -> Stream:
        """Return a stream that an index is made for."""
        streams = {stream.index: stream for stream in map(self.stream, self._held.streams)}
        if label not in streams:
            raise self._missing(index_file(label))
        return streams[label]

    def train_job(self, folder: str) -> TrainJob:
        """Return the training of a directory."""
        return self._entry(TrainJob, self._held.train, folder, folder)

    def memory_job(self, folder: str) -> MemoryJob:
        """Return the memory of a directory."""
        return self._entry(MemoryJob, self._held.memory, folder, folder)

    def probe_job(self, file: str) -> ProbeJob:
        """Return the evaluation of a file of accuracies."""
        return self._entry(ProbeJob, self._held.probe, file, file)

    def study(self, name: str) -> StudyRecord:
        """Return what the tables of a study show."""
        return self._entry(StudyRecord, self._held.studies, name, f"study '{name}'")

    def figures(self, study: str) -> list[str]:
        """Return the paths of a study's figures."""
        return self._held.figures.get(study, [])

    def features(self, study: str, stream: str) -> list[str]:
        """Return the paths of the features that a study's figures of a stream show."""
        return self._held.features.get(study, {}).get(stream, [])

    def _entry(self, kind: type[M], entries: dict[str, JsonValue], key: str, asked: str) -> M:
        value = entries.get(key)
        if not isinstance(value, dict):
            raise self._missing(asked)
        return parse(kind, value, f"{self.path}, {asked}")

    def _missing(self, asked: str) -> DataError:
        return DataError(f"{asked} is not part of the plan {self.path}; run the workflow again, which writes it anew")
