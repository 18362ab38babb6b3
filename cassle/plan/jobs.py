"""What a job is: its folder, the settings that determine its result, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cassle.core.errors import SettingsError
from cassle.core.files import canonical_json, shortened
from cassle.core.options import differences
from cassle.data.streams import Stream
from cassle.evaluation.base import streams_of

LONGEST_PROBES = 120
"""Letters of the name of a file of accuracies; a file system takes 255, and what is written aside has more to it."""


@dataclass(frozen=True)
class _Job:
    """A folder and the settings that determine what is made in it."""

    folder: str
    spec: dict[str, Any]

    @property
    def key(self) -> str:
        """The one text of the settings; a change of it is a change of the result."""
        return canonical_json(self.spec)


@dataclass(frozen=True)
class TrainJob(_Job):
    """One checkpoint."""

    parent: str | None
    """The folder of the checkpoint before it."""
    gpus: int
    given: str | None = None
    """The checkpoint this one is taken over from instead of being trained."""
    memory: str | None = None
    """The memory that the strategy starts from, made after the previous task."""


@dataclass(frozen=True)
class MemoryJob(_Job):
    """What a strategy keeps after one task."""

    checkpoint: str
    """The folder of the checkpoint it is made from."""
    previous: str | None
    """The memory after the task before."""
    gpus: int

    @property
    def file(self) -> str:
        """The file of what is kept."""
        return f"{self.folder}/memory.pt"


@dataclass(frozen=True)
class ProbeJob(_Job):
    """The evaluation of one checkpoint (or of the random network) on every task of a stream."""

    trained: bool

    @property
    def streams(self) -> list[Stream]:
        """The stream that is evaluated, and others that its probes look at."""
        return streams_of(self.spec)

    @property
    def place(self) -> str:
        """The folder of the evaluations of this checkpoint on this stream, whatever the probes."""
        return f"{self.folder}/probes/{Stream(**self.spec['stream']).name}"

    @property
    def file(self) -> str:
        """The file of accuracies."""
        probes = shortened("+".join(probe["label"] for probe in self.spec["probes"]), LONGEST_PROBES)
        return f"{self.place}/{probes}.json"

    def joined(self, other: ProbeJob) -> ProbeJob:
        """Return one evaluation with the probes of two at one place, those of the other behind its own.

        Raises `SettingsError` if the two differ in anything but which probes they have.
        """
        mine, theirs = ({probe["label"]: probe for probe in job.spec["probes"]} for job in (self, other))
        both = {**mine, **theirs}
        meant = {**self.spec, "probes": {**both, **mine}}, {**other.spec, "probes": both}
        if keys := ", ".join(differences(*meant)):
            raise SettingsError(f"two evaluations {self.place} would differ in {keys}; do their studies in two folders")
        return replace(self, spec={**self.spec, "probes": list(both.values())})
