"""A plan: every job that a study needs, each once, and what its tables and figures show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import JsonValue

from cassle.contracts.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.contracts.layout import OFFLINE, StudyFolder, index_file, split_file
from cassle.contracts.specs import ProbeComponent
from cassle.contracts.summary import Kind, StudyRecord, TableRow
from cassle.core.errors import SettingsError
from cassle.core.options import differences
from cassle.data.streams import Stream
from cassle.settings.study import Study

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass
class Plan:
    """Every job that a study needs, each once."""

    study: Study
    studies: list[Plan] = field(default_factory=list)
    """The plans of several studies in one run of the workflow; empty for a single study."""
    streams: dict[str, Stream] = field(default_factory=dict)
    train: dict[str, TrainJob] = field(default_factory=dict)
    """Directory -> training."""
    memory: dict[str, MemoryJob] = field(default_factory=dict)
    """Directory -> memory."""
    probe: dict[str, ProbeJob] = field(default_factory=dict)
    """File of accuracies -> evaluation."""
    rows: dict[TableRow, None] = field(default_factory=dict)
    """Rows of the tables, in the order of the study."""
    names: dict[str, str] = field(default_factory=dict)
    """Label -> name in tables: the registered name, and the settings that differ from recipe and preset."""
    joint: dict[str, str] = field(default_factory=dict)
    """Name of a stream -> name of the stream of all its data, which offline models are trained on."""
    _evaluations: dict[str, str] = field(default_factory=dict)
    """`ProbeFile.directory` -> file of accuracies."""

    @property
    def folder(self) -> StudyFolder:
        """The directory of tables, figures and reports of the study."""
        return StudyFolder(self.study.name)

    def summary(self) -> StudyRecord:
        """Return the record of the study for its tables and figures."""
        grids = self.study.complete_grids()
        strategies = list(dict.fromkeys(row.strategy for row in self.rows))
        return StudyRecord(
            name=self.study.name,
            streams=list(dict.fromkeys(row.stream for row in self.rows)),
            backbones=list(dict.fromkeys(row.backbone for row in self.rows)),
            objectives=list(dict.fromkeys(row.objective for row in self.rows)),
            strategies=sorted(strategies, key=lambda name: name == OFFLINE),  # after those that it bounds
            probes=list(dict.fromkeys(row.probe for row in self.rows)),
            rows=list(self.rows),
            seeds=sorted({seed for grid in grids for seed in grid.seeds}),
            presets=sorted({grid.preset for grid in grids}),
            names={label: name for label, name in self.names.items() if name != label},
            titles=self.titles(),
            joint=self.joint,
            own_recipes=self.study.recipes is not None,
        )

    def titles(self) -> dict[Kind, dict[str, str]]:
        """Return the titles of backbones, objectives, strategies and probes: registered name -> title, per kind."""
        from cassle.evaluation.base import probes  # jobs that read a plan need no class and no torch
        from cassle.nets.base import backbones
        from cassle.objectives.base import objectives
        from cassle.strategies.base import strategies

        def of(labels: Iterable[str], title: Callable[[str], str]) -> dict[str, str]:
            names = {part for label in labels for part in label.partition("~")[0].split("+")}
            return {name: title(name) for name in sorted(names - {OFFLINE})}

        return {
            "backbones": of((row.backbone for row in self.rows), backbones.title),
            "objectives": of((row.objective for row in self.rows), objectives.title),
            "strategies": of((row.strategy for row in self.rows), strategies.title),
            "probes": of((row.probe for row in self.rows), probes.title),
        }

    def name(self, label: str, shown: str | None) -> None:
        """Note the name of a label in tables: the label itself if ``shown`` is None or if grids name it differently."""
        if self.names.setdefault(label, shown or label) != shown:
            self.names[label] = label

    def parts(self) -> list[Plan]:
        """Return the plan of each study that has tables of its own; of a single study, this plan."""
        return self.studies or [self]

    def part(self, name: str) -> Plan:
        """Return the plan of one study."""
        return self.planned({part.study.name: part for part in self.parts()}, name, str(StudyFolder(name)))

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return self.planned(self.streams, name, split_file(name))

    def stream_of_index(self, label: str) -> Stream:
        """Return a stream that an index is made for; streams with one index have the same data."""
        return self.planned({stream.index: stream for stream in self.streams.values()}, label, index_file(label))

    def train_job(self, folder: str) -> TrainJob:
        """Return the training of a directory."""
        return self.planned(self.train, folder, folder)

    def memory_job(self, folder: str) -> MemoryJob:
        """Return the memory of a directory."""
        return self.planned(self.memory, folder, folder)

    def probe_job(self, file: str) -> ProbeJob:
        """Return the evaluation of a file of accuracies."""
        return self.planned(self.probe, file, file)

    def planned(self, planned: Mapping[Key, Value], key: Key, path: str) -> Value:
        """Return a value of this plan by its key; `SettingsError` with the ``path`` for a key that is not planned."""
        if key not in planned:
            raise SettingsError(f"{path} is not part of the study '{self.study.name}'")
        return planned[key]

    def tables(self) -> list[tuple[str, str]]:
        """Return the (stream, probe) of every table, in the study's order."""
        return list(dict.fromkeys((row.stream, row.probe) for row in self.rows))

    def figures(self) -> list[tuple[str, str, str]]:
        """Return the (stream, probe, name) of every figure: those of the study for the first table of each stream."""
        first: dict[str, str] = {}
        for stream, probe in self.tables():
            first.setdefault(stream, probe)
        return [(stream, probe, figure) for stream, probe in first.items() for figure in self.study.figures]

    def add_train(self, job: TrainJob) -> None:
        """Add a training; two trainings of one directory must have equal specifications."""
        held = self.train.setdefault(job.folder, job)
        if held is not job and held.spec != job.spec:
            keys = ", ".join(differences(held.spec.model_dump(mode="json"), job.spec.model_dump(mode="json")))
            raise SettingsError(f"two runs would share {job.folder} but differ in {keys}; make them two studies")

    def add_probe(self, job: ProbeJob) -> None:
        """Add an evaluation of a checkpoint on a stream, and the streams whose images it needs.

        One job evaluates all probes of a checkpoint on a stream, for all studies and grids. Raises
        `SettingsError` if two of them have one probe with different settings.
        """
        directory = job.output.directory
        if directory in self._evaluations:
            job = _united(self.probe.pop(self._evaluations[directory]), job)
        self._evaluations[directory] = job.file
        self.probe[job.file] = job
        self.streams |= {stream.name: stream for stream in job.spec.streams}


def _united(job: ProbeJob, other: ProbeJob) -> ProbeJob:
    """Return one evaluation with the probes of two in one directory, those of the other after its own."""
    mine, theirs = ({probe.label: probe for probe in one.spec.probes} for one in (job, other))
    both = {**mine, **theirs}
    if keys := ", ".join(differences(_by_label(job, {**both, **mine}), _by_label(other, both))):
        directory = job.output.directory
        raise SettingsError(f"two evaluations {directory} would differ in {keys}; do their studies in two folders")
    return job.model_copy(update={"spec": job.spec.model_copy(update={"probes": tuple(both.values())})})


def _by_label(job: ProbeJob, probes: dict[str, ProbeComponent]) -> dict[str, JsonValue]:
    spec = job.spec.model_dump(mode="json", exclude={"probes"})
    return {**spec, "probes": {label: probe.model_dump(mode="json") for label, probe in probes.items()}}


def combined(study: Study, plans: list[Plan]) -> Plan:
    """Return one plan of several studies, each job once; raises `SettingsError` where two contradict each other."""
    plan = Plan(study, plans)
    for one in plans:
        plan.streams |= one.streams
        plan.memory |= one.memory
        for training in one.train.values():
            plan.add_train(training)
        for evaluation in one.probe.values():
            plan.add_probe(evaluation)
    return plan
