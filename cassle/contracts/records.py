"""What jobs wrote down of themselves, as far as rows are made of it; a file that says something else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cassle.core.errors import DataError, SettingsError
from cassle.core.files import read_json
from cassle.core.options import parse

Fraction = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """A record; what else is in it does not matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Execution(Record):
    """How an evaluation ran; ``precision``: probe -> that of the features it looked at."""

    device: str
    precision: dict[str, str]
    threads: int


class Evaluated(Record):
    """What an evaluation found: per probe a fraction of every task; ``own_tasks`` are those of other streams."""

    spec: dict[str, Any]
    accuracies: dict[str, list[Fraction]]
    task_aware: dict[str, list[Fraction]]
    own_tasks: dict[str, list[str]]
    stream: str
    dataset: str
    scenario: str
    tasks: int
    task_names: list[str]
    checkpoint: str | None
    code: str
    execution: Execution

    def tasks_of(self, probe: str) -> list[str]:
        """Return the names of the tasks that a probe was asked about."""
        return self.own_tasks.get(probe, self.task_names)

    @model_validator(mode="after")
    def _complete(self) -> Evaluated:
        for probe in self.accuracies:
            tasks = len(self.tasks_of(probe))
            for kind, found in (("accuracies", self.accuracies), ("task_aware", self.task_aware)):
                if (values := len(found.get(probe, []))) != tasks:
                    raise ValueError(f"{kind} of {probe} has {values} values for {tasks} tasks")
            if probe not in self.execution.precision:
                raise ValueError(f"execution says no precision of {probe}")
        return self


class Trained(Record):
    """What a training says of itself; ``parent``: the checkpoint it went on from."""

    spec: dict[str, Any]
    checkpoint: str
    parent: str | None
    device: str = ""
    processes: int | str = 1
    precision: str = ""
    loader: str = ""
    threads: int | str = ""
    code: str = ""


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], file: Path) -> R:
    """Read a record; `DataError` naming the file and what is wrong with it."""
    value = read_json(file)
    try:
        if not isinstance(value, dict):
            raise SettingsError(f"{file}: it holds no keys and values")
        return parse(kind, value, str(file))
    except SettingsError as error:
        raise DataError(f"{error}; delete that file and run the workflow again") from error
