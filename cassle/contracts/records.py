"""Records: every JSON file that one job writes and another reads, typed and versioned; one reader, one writer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from cassle.contracts.specs import MemorySpec, ProbeSpec, TrainSpec
from cassle.core.errors import CassleError, DataError
from cassle.core.files import fingerprint, write_json, write_text
from cassle.core.options import parse

Fraction = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """A record; keys that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    VERSION: ClassVar[int] = 1
    """Raised when the meaning of a field changes; a file of a newer version is refused."""

    def as_json(self) -> dict[str, Any]:
        """Return the record as it is written."""
        return {"version": self.VERSION, **self.model_dump(mode="json")}


class Provenance(Record):
    """What made a checkpoint: specification, code, library versions, fingerprints of its inputs; no time, no host."""

    spec: TrainSpec
    code: str = Field(description="fingerprint of the training code")
    versions: dict[str, str] = Field(description="versions of Python and of the libraries that results depend on")
    data: str = Field(description="fingerprint of the dataset's index")
    parent: str | None = Field(description="fingerprint of the previous checkpoint")
    memory: str | None = Field(description="fingerprint of the memory that the strategy started from")

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name everything a checkpoint depends on."""
        return fingerprint(self.model_dump(mode="json", include=set(Provenance.model_fields)))


class MemoryProvenance(Provenance):
    """What made a memory; ``parent`` is the checkpoint of the task, ``memory`` the memory after the previous task."""

    spec: MemorySpec


class TrainExecution(Record):
    """How a training was executed, and what it cost; `GIVEN` where a checkpoint was trained elsewhere."""

    device: str = Field(description="name of the device")
    precision: str = Field(description="fp32, bf16 or fp16")
    threads: int | str = Field(description="compute threads of each process")
    processes: int | str = Field(description="processes that shared each batch")
    loader: str = Field(description="loader of the images")
    seconds: float = Field(ge=0, description="training time, over all interruptions")
    images_per_second: float | None = Field(description="training images per second")
    flops: float | None = Field(description="floating-point operations of the training, counted")
    states: int = Field(0, description="training states saved by the last process")
    state_seconds: float = Field(0.0, description="time that saving them took")


class TrainRecord(Provenance, TrainExecution):
    """``train.json``: what made a checkpoint, and how."""

    checkpoint: str = Field(description="fingerprint of the checkpoint")


class ProbeExecution(Record):
    """How an evaluation was executed; ``precision``: probe -> precision of its features."""

    device: str
    precision: dict[str, str]
    threads: int


class ProbeRecord(Record):
    """``<probes>.json``: the accuracies of one checkpoint, as a fraction per task and probe."""

    spec: ProbeSpec
    accuracies: dict[str, list[Fraction]] = Field(description="probe -> accuracy per task")
    task_aware: dict[str, list[Fraction]] = Field(description="probe -> accuracy per task where the task is known")
    own_tasks: dict[str, list[str]] = Field(description="probe -> names of its tasks, where those of another stream")
    identity: dict[str, str] = Field(description="probe -> fingerprint of everything its accuracies depend on")
    stream: str
    dataset: str
    scenario: str
    tasks: int
    task_names: list[str]
    checkpoint: str | None = Field(description="fingerprint of the checkpoint; none: the untrained network")
    code: str = Field(description="fingerprint of the evaluation code")
    execution: ProbeExecution
    seconds: float = Field(ge=0)

    def tasks_of(self, probe: str) -> list[str]:
        """Return the names of the tasks that a probe evaluated."""
        return self.own_tasks.get(probe, self.task_names)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for probe in self.accuracies:
            tasks = len(self.tasks_of(probe))
            for kind, found in (("accuracies", self.accuracies), ("task_aware", self.task_aware)):
                if (values := len(found.get(probe, []))) != tasks:
                    raise ValueError(f"{kind} of {probe} has {values} values for {tasks} tasks")
            if probe not in self.execution.precision:
                raise ValueError(f"execution says no precision of {probe}")
        if unknown := ", ".join(sorted(self.identity.keys() - self.accuracies.keys())):
            raise ValueError(f"identity names {unknown}, of which there are no accuracies")
        return self


class PlanRecord(Record):
    """``plan.json``: the jobs of a study that was started, for those who watch it."""

    host: str = Field(description="host that runs Snakemake")
    train: list[str] = Field(description="directories of all trainings")
    probes: list[str] = Field(description="files of all accuracies")
    trackers: dict[str, dict[str, JsonValue]] = Field(description="verb of each tracker in use -> its settings")
    others: dict[str, str] = Field(description="output -> log of every other job")


class ProgressRecord(Record):
    """``progress.json``: the heartbeat of a training, rewritten every few seconds."""

    task: int
    device: str
    host: str
    pid: int
    epoch: int | None = None
    epochs: int | None = None
    done: float | None = Field(None, description="fraction of the task's steps")
    loss: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    updated: float = Field(description="seconds since 1970")


class FailureRecord(Record):
    """``failed.json``, ``*.failed``: why the last attempt at a job failed, and whether another one makes sense."""

    digest: str = Field(description="digest of the job's specification")
    message: str
    final: bool = Field(description="whether the same job would fail again")


class AttemptRecord(Record):
    """A line of ``*.times.jsonl``: one attempt at a job; times in seconds since 1970."""

    began: float
    host: str = ""
    leased: str = Field("", description="cpu, or the GPUs by their numbers on the host")
    ended: float | None = Field(None, description="none: the attempt runs, or was killed")
    error: str | None = Field(None, description="why the attempt ended, unless it succeeded")
    gpu_mb: float | None = Field(None, description="most GPU memory of the process, MiB")


class EpochRecord(Record):
    """A line of ``metrics.jsonl``: mean losses of one epoch, and the learning rate after it."""

    epoch: int = Field(ge=0)
    loss: float
    objective: float
    penalty: float
    online: float
    lr: float


R = TypeVar("R", bound=Record)


def write_record(path: str | Path, record: Record) -> None:
    """Write a record as readable JSON, completely or not at all."""
    write_json(path, record.as_json())


def read_record(kind: type[R], path: str | Path) -> R:
    """Read a record.

    Raises `DataError` that names the file, what is wrong with it and what to do: if it is missing, damaged, of another
    type, or of a newer version.
    """
    if (record := read_record_if_present(kind, path)) is None:
        raise DataError(f"there is no {path}; check the path, or run the workflow, which writes it")
    return record


def read_record_if_present(kind: type[R], path: str | Path) -> R | None:
    """Read a record, or return None for a missing file; raises `DataError` as `read_record` does."""
    try:
        text = Path(path).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; delete that file and run the workflow again") from error
    return parse_record(kind, text, str(path))


def write_lines(path: str | Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines, completely or not at all."""
    write_text(path, "".join(f"{json.dumps(record.as_json())}\n" for record in records))


def read_lines(kind: type[R], path: str | Path) -> list[R]:
    """Read records from JSON lines; a missing file has none. Raises `DataError` as `read_record`, with the line."""
    try:
        lines = Path(path).read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; delete that file and run the workflow again") from error
    return [parse_record(kind, line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def parse_record(kind: type[R], text: str, where: str) -> R:
    """Return a record from its JSON text; raises `DataError` as `read_record`, naming ``where``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read {where}: {error}; delete that file and run the workflow again") from error
    return record_of(kind, value, where)


def record_of(kind: type[R], value: object, where: str) -> R:
    """Return a record from its JSON value; raises `DataError` as `read_record`, naming ``where``."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: it holds no keys and values; delete that file and run the workflow again")
    version = value.get("version", kind.VERSION)
    if not isinstance(version, int) or version > kind.VERSION:
        raise DataError(
            f"{where} has version {version}, and this software reads versions up to {kind.VERSION}: a newer release "
            "wrote it; upgrade this software, or delete that file and run the workflow again"
        )
    try:
        return parse(kind, value, where)
    except CassleError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more errors)" if others else ""
        raise DataError(f"{first}{more}; delete that file and run the workflow again") from error
