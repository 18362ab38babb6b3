"""A plan: everything that a study needs, each thing once, and what its tables and figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cassle.contracts.layout import index_file
from cassle.core.errors import SettingsError
from cassle.core.options import differences
from cassle.data.streams import Stream
from cassle.plan.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.settings.study import Study

Key = TypeVar("Key")
Thing = TypeVar("Thing")


@dataclass
class Plan:
    """Everything a study needs, each thing once."""

    study: Study
    studies: list[Plan] = field(default_factory=list)
    """The plans of the studies that are done together, if there are several."""
    streams: dict[str, Stream] = field(default_factory=dict)
    train: dict[str, TrainJob] = field(default_factory=dict)
    memory: dict[str, MemoryJob] = field(default_factory=dict)
    probe: dict[str, ProbeJob] = field(default_factory=dict)
    cells: dict[str, list[Any]] = field(
        default_factory=lambda: {
            key: [] for key in ("streams", "backbones", "objectives", "strategies", "probes", "rows")
        }
    )
    """What tables show: names of streams, backbones, objectives, strategies and probes, variants included, each list in
    the order of the study; and ``rows``, which of them belong together, with the epochs of each task: one entry per row
    of a table."""
    names: dict[str, str] = field(default_factory=dict)
    """Label -> what tables call it: its name alone where it is as recipe and preset say, else with what differs."""

    joint: dict[str, str] = field(default_factory=dict)
    """Name of a stream -> that of the stream of all its data, which offline models are trained on."""
    _evaluations: dict[str, str] = field(default_factory=dict)
    """`ProbeJob.place` -> `ProbeJob.file` of each evaluation."""

    @property
    def folder(self) -> str:
        """Where tables, figures and reports of the study lie."""
        return f"results/studies/{self.study.name}"

    def summary(self) -> dict[str, Any]:
        """Return what tables and figures need to know of the study, in the form of `Summary`."""
        grids = self.study.complete_grids()
        return {
            "name": self.study.name,
            **self.cells,
            "seeds": sorted({seed for grid in grids for seed in grid.seeds}),
            "presets": sorted({grid.preset for grid in grids}),
            "names": {label: name for label, name in self.names.items() if name != label},
            "joint": self.joint,
            "own_recipes": self.study.recipes is not None,
        }

    def name(self, label: str, shown: str | None) -> None:
        """Note what tables call a label: itself if nothing shorter is known, or if grids call it differently."""
        if self.names.setdefault(label, shown or label) != shown:
            self.names[label] = label

    def show(self, stream: str, backbone: str, objective: str, strategy: str, probe: str, epochs: int) -> None:
        """Add a row to the table of a stream under a probe; ``epochs``: of the training of each task."""
        row = {"stream": stream, "backbone": backbone, "objective": objective, "strategy": strategy, "probe": probe}
        names = zip(("streams", "backbones", "objectives", "strategies", "probes"), row.values(), strict=True)
        for key, name in [*names, ("rows", {**row, "epochs": epochs})]:
            if name not in self.cells[key]:
                self.cells[key].append(name)

    def parts(self) -> list[Plan]:
        """Return the plan of each study that has tables of its own: several that are done together, or this one."""
        return self.studies or [self]

    def part(self, name: str) -> Plan:
        """Return the one of these plans that a study has."""
        return self.planned({part.study.name: part for part in self.parts()}, name, f"results/studies/{name}")

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return self.planned(self.streams, name, f"results/{name}")

    def stream_of_index(self, name: str) -> Stream:
        """Return a stream that an index is made for; streams with one index have the same data."""
        return self.planned({stream.index: stream for stream in self.streams.values()}, name, index_file(name))

    def planned(self, things: Mapping[Key, Thing], key: Key, asked: str) -> Thing:
        """Return one of the things of this plan; `SettingsError` for any other, in terms of the file asked for."""
        if key not in things:
            raise SettingsError(f"{asked} is not part of the study '{self.study.name}'")
        return things[key]

    def tables(self) -> list[tuple[str, str]]:
        """Return the (stream, probe) of every table, in the study's order."""
        return list(dict.fromkeys((row["stream"], row["probe"]) for row in self.cells["rows"]))

    def figures(self) -> list[tuple[str, str, str]]:
        """Return the (stream, probe, name) of every figure: those of the study for the first table of each stream."""
        first: dict[str, str] = {}
        for stream, probe in self.tables():
            first.setdefault(stream, probe)
        return [(stream, probe, figure) for stream, probe in first.items() for figure in self.study.figures]

    def add_train(self, job: TrainJob) -> None:
        """Add a job; two jobs with one folder must have the same settings."""
        held = self.train.setdefault(job.folder, job)
        if held.spec != job.spec:
            keys = ", ".join(differences(held.spec, job.spec))
            raise SettingsError(f"two runs would share {job.folder} but differ in {keys}; make them two studies")

    def add_probe(self, job: ProbeJob) -> None:
        """Add an evaluation of a checkpoint on a stream, and the streams it looks at.

        One job does all probes of a checkpoint on a stream, whichever studies and grids ask for them. Raises
        `SettingsError` if they ask for one probe with two meanings.
        """
        if job.place in self._evaluations:
            job = self.probe.pop(self._evaluations[job.place]).joined(job)
        self._evaluations[job.place] = job.file
        self.probe[job.file] = job
        self.streams |= {stream.name: stream for stream in job.streams}


def together(study: Study, plans: list[Plan]) -> Plan:
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
