"""From a command line to a plan: in the main process, and again in a job that has no plan file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cassle.contracts.jobs import MemoryJob, ProbeJob, TrainJob
from cassle.contracts.layout import ProbeFile, RandomFolder, TaskFolder
from cassle.contracts.plan_file import PLANS, JobPlan
from cassle.core.errors import SettingsError
from cassle.core.files import fingerprint, read_json, write_json
from cassle.core.options import merged
from cassle.data.streams import Stream
from cassle.plan.plan import Plan, combined
from cassle.plan.sources import DEFAULT_STUDY
from cassle.plan.targets import plan_file
from cassle.plan.wanted import EVERYTHING, Wanted
from cassle.settings.reading import (
    SINGULAR,
    name_of,
    read_studies,
    read_study,
    read_yaml,
    refuse_both,
    replaced,
    with_lists,
)
from cassle.settings.study import Study

M = TypeVar("M")


@dataclass(frozen=True)
class Request:
    """A command line: overrides such as ``seed=3`` (`--config`), and files of a study (`--configfile`)."""

    overrides: Mapping[str, Any]
    configfiles: Sequence[str]

    def save(self, path: Path) -> None:
        """Write the request for another process of the workflow."""
        write_json(path, {"overrides": dict(self.overrides), "configfiles": list(self.configfiles)})

    @classmethod
    def load(cls, path: Path) -> Request:
        """Read what `save` wrote; `SettingsError` for another file."""
        held = read_json(path)
        if not (isinstance(held, dict) and isinstance(held.get("overrides"), dict)):
            raise SettingsError(f"{path} holds no request; delete it and run the same command again")
        return cls(held["overrides"], held.get("configfiles", []))

    @property
    def folder(self) -> Path:
        """The directory that paths inside a study count from."""
        return Path(self.configfiles[-1]).parent if self.configfiles else Path()

    def studies(self) -> tuple[Study, list[Study]]:
        """Return the study, and those to plan: itself, or the ones of the files it lists."""
        study = read_study(*self._values())
        return study, read_studies(study, self.folder)

    def plan_file(self) -> Path:
        """Return the path of the plan file, the same in every process of one Snakemake."""
        study, every = self.studies()
        name = fingerprint([one.model_dump(mode="json") for one in (study, *every)])
        return PLANS / f"{study.name}-{name[:10]}.json"

    def _values(self) -> tuple[dict[str, Any], str]:
        """Return the values of a study and their origin: files, later ones over earlier ones, and overrides over all.

        Files are complete, and so are overrides that name streams and objectives. Other overrides change the default
        study; singular keys among them rename it, and name studies without a name.
        """
        refuse_both(self.overrides, "--config")
        overrides = with_lists(self.overrides)
        where = ", ".join([*map(str, self.configfiles), *(["--config"] if self.overrides else [])])
        complete = {"grids", "studies"} & set(overrides) or {"streams", "objectives"} <= set(overrides)
        if not self.configfiles and not complete:
            usual = with_lists(read_yaml(DEFAULT_STUDY))
            if set(self.overrides) & set(SINGULAR):
                usual["name"] = name_of(overrides)
            return replaced(usual, overrides), f"{DEFAULT_STUDY}, {where}".removesuffix(", ")
        files = [read_yaml(file) for file in self.configfiles]
        given: dict[str, Any] = {}
        for path, file in zip(self.configfiles, files, strict=True):
            refuse_both(file, str(path))
            given = merged(given, with_lists(file))
        given = replaced(given, overrides)
        single = any(set(one) & set(SINGULAR) for one in [*files, self.overrides])
        if "name" not in given and (single or not files) and (name := name_of(given)):
            given["name"] = name
        return given, where


def plan_study(request: Request, root: Path = Path()) -> Plan:
    """Return the plan of a request.

    Raises `SettingsError` for impossible settings, and for a plan that would overwrite finished work below ``root``
    without ``overwrite=true``.
    """
    from cassle.plan.finished import refuse_overwriting

    plan = _plan(request, EVERYTHING)
    if not plan.study.overwrite:
        refuse_overwriting(plan, root)
    return plan


class JobsOnDemand:
    """The plan as a job of the workflow sees it: the plan file or, without one, the runs that the job asks for.

    On a shared file system the main process has written the plan file. A pod has only the sources and the configuration
    files: the same functions resolve the run that a path names, and write it to the same file for the command of the
    job.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.path = request.plan_file()
        self.site = request.studies()[0].site()
        self._stored = JobPlan(self.path) if self.path.is_file() else None
        self._resolved: list[Plan] = []

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return self._plan(Wanted(stream=name, runs=False), lambda plan: plan.stream(name))

    def stream_of_index(self, label: str) -> Stream:
        """Return a stream that an index is made for."""
        return self._plan(Wanted(index=label, runs=False), lambda plan: plan.stream_of_index(label))

    def train_job(self, folder: str) -> TrainJob:
        """Return the training of a directory."""
        return self._plan(_wanted(TaskFolder.parse(folder)), lambda plan: plan.train_job(folder))

    def memory_job(self, folder: str) -> MemoryJob:
        """Return the memory of a directory."""
        return self._plan(_wanted(TaskFolder.parse(folder)), lambda plan: plan.memory_job(folder))

    def probe_job(self, file: str) -> ProbeJob:
        """Return the evaluation of a file of accuracies."""
        output = ProbeFile.parse(file)
        return self._plan(_wanted(output.folder, output.evaluation), lambda plan: plan.probe_job(file))

    def _plan(self, wanted: Wanted, look_up: Callable[[Plan | JobPlan], M]) -> M:
        if self._stored is not None:
            return look_up(self._stored)
        for plan in self._resolved:
            with suppress(SettingsError):
                return look_up(plan)
        self._resolved.append(_plan(self.request, wanted))
        plan_file(combined(self._resolved[0].study, self._resolved), complete=False).write(self.path)
        return look_up(self._resolved[-1])


def _wanted(folder: TaskFolder | RandomFolder, evaluation: str | None = None) -> Wanted:
    objective = None if isinstance(folder, RandomFolder) else folder.objective
    return Wanted(evaluation or folder.stream, backbone=folder.backbone, objective=objective, seed=folder.seed)


def _plan(request: Request, wanted: Wanted) -> Plan:
    from cassle.plan.grids import resolve  # imports torch, which a job with a plan file does not need

    study, every = request.studies()
    plans = [resolve(one, wanted) for one in every]
    return combined(study, plans) if study.studies else plans[0]
