"""Jobs: a specification, the directory of its result, and the files it starts from."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from cassle.contracts.layout import ProbeFile, RandomFolder, TaskFolder
from cassle.contracts.specs import MemorySpec, ProbeSpec, TrainSpec
from cassle.core.files import shortened
from cassle.core.options import Options

LONGEST_PROBES = 120
"""Characters of the stem of a file of accuracies; a file system takes 255, and temporary names are longer."""


def _parsed(value: Any) -> Any:
    return TaskFolder.parse(value) if isinstance(value, str) else value


TaskPath = Annotated[TaskFolder, BeforeValidator(_parsed), PlainSerializer(str)]
"""The directory of a task, as text in JSON."""


class TrainJob(Options):
    """The training of one task."""

    at: TaskPath = Field(description="directory of the checkpoint")
    spec: TrainSpec = Field(description="what determines the checkpoint")
    gpus: int = Field(description="GPUs that the training asks for")
    previous: TaskPath | None = Field(None, description="directory of the previous checkpoint")
    memory: TaskPath | None = Field(None, description="directory of the memory that the strategy starts from")
    first_checkpoint: str | None = Field(None, description="path of a checkpoint to take over instead of training")

    @property
    def folder(self) -> str:
        """The path of the directory."""
        return str(self.at)


class MemoryJob(Options):
    """The memory that a strategy keeps after one task."""

    at: TaskPath = Field(description="directory of the memory")
    spec: MemorySpec = Field(description="what determines the memory")
    gpus: int = Field(description="GPUs that the job asks for")
    checkpoint: TaskPath = Field(description="directory of the checkpoint of this task")
    previous: TaskPath | None = Field(None, description="directory of the memory after the previous task")

    @property
    def file(self) -> str:
        """The path of the memory."""
        return self.at.memory


class ProbeJob(Options):
    """The evaluation of one checkpoint, or of the untrained network, on every task of a stream."""

    at: TaskPath | None = Field(description="directory of the checkpoint; none: the untrained network")
    backbone: str = Field(description="the backbone's component in paths")
    spec: ProbeSpec = Field(description="what determines the accuracies")

    @cached_property
    def output(self) -> ProbeFile:
        """The file of accuracies."""
        spec = self.spec
        folder = self.at or RandomFolder(spec.stream.name, self.backbone, spec.seed)
        stem = "+".join(probe.label for probe in spec.probes)
        return ProbeFile(folder, spec.stream.name, shortened(stem, LONGEST_PROBES))

    @cached_property
    def file(self) -> str:
        """The path of the accuracies."""
        return str(self.output)
