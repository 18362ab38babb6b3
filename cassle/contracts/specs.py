"""Specifications: everything that determines the result of a job, and nothing of where or how it runs."""

from __future__ import annotations

from pydantic import Field, JsonValue

from cassle.core.files import fingerprint
from cassle.core.options import Options
from cassle.data.streams import Stream
from cassle.settings.recipe import Training

Settings = dict[str, JsonValue]
"""Complete settings of a component, as JSON; its class parses them (`Settings` of the registered class)."""


class Component(Options):
    """A backbone, objective, strategy or probe: its registered name and its complete settings."""

    name: str = Field(description="registered name")
    settings: Settings = Field(description="complete settings")


class Spec(Options):
    """A specification; two jobs with equal specifications have equal results."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name the specification."""
        if "_digest" not in self.__dict__:  # computed once, and under a name that is no field of `dict(spec)`
            self.__dict__["_digest"] = fingerprint(self.model_dump(mode="json"))
        return str(self.__dict__["_digest"])


class NetworkSpec(Options):
    """What determines a network and its strategy before training; ``strategy`` is None in a shared first task."""

    seed: int = Field(description="seed of the run")
    backbone: Component = Field(description="backbone")
    objective: Component = Field(description="objective")
    strategy: Component | None = Field(description="continual strategy")


class TrainSpec(NetworkSpec, Spec):
    """What determines a checkpoint."""

    stream: Stream = Field(description="stream that is trained on")
    task: int = Field(ge=0, description="task, from 0")
    training: Training = Field(description="how each task is trained")
    first_checkpoint: str | None = Field(None, description="fingerprint of a first checkpoint trained elsewhere")


class MemorySpec(TrainSpec):
    """What determines the memory that a strategy keeps after a task."""

    strategy: Component = Field(description="continual strategy")


class ProbeComponent(Component):
    """A probe of an evaluation."""

    label: str = Field(description="name in tables and paths: the probe and the settings that differ from its default")
    stream: Stream | None = Field(None, description="stream that the probe evaluates on instead, for transfer")


class ProbeSpec(Spec):
    """What determines the accuracies of a given checkpoint."""

    stream: Stream = Field(description="stream that is evaluated on")
    seed: int = Field(description="seed of the run")
    probes: tuple[ProbeComponent, ...] = Field(min_length=1, description="probes")
    backbone: Component | None = Field(
        None, description="backbone of the untrained network or of an external checkpoint; none: the checkpoint's own"
    )
    image_size: int | None = Field(None, gt=0, description="side of the images of an external checkpoint, in pixels")

    @property
    def streams(self) -> list[Stream]:
        """The streams whose images are evaluated: the main one first, then those of probes; each once."""
        every = [self.stream, *(probe.stream for probe in self.probes if probe.stream is not None)]
        return list({stream.name: stream for stream in every}.values())
