"""What a run is: its identity, its variant, its tasks, its parents and its paths.

A study is resolved once, before anything runs, into a `Plan`: one `TrainJob` per checkpoint and one `ProbeJob` per
evaluation, keyed by their folders. Errors in the settings surface here, at the dry run.
"""

from __future__ import annotations

import hashlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cassle.data.base import data_sets
from cassle.data.streams import Stream
from cassle.errors import SettingsError, unknown
from cassle.evaluation.base import probes as probe_registry
from cassle.files import canonical_json, fingerprint
from cassle.nets.base import backbones as backbone_registry
from cassle.objectives.base import objectives as objective_registry
from cassle.options import Options, differences, merged, parse
from cassle.paths import FIRST, ONLINE, RANDOM
from cassle.registry import load_plugins
from cassle.settings import Choice, Recipe, Study, Training, read_yaml
from cassle.strategies.base import strategies as strategy_registry

RECIPES = Path(__file__).parent.parent / "config" / "recipes"
_SAFE = re.compile(r"[A-Za-z0-9._=+~-]*")


@dataclass(frozen=True)
class Part:
    """A backbone, objective or strategy of a run: folder name, registered name and complete settings."""

    label: str
    name: str
    settings: dict[str, Any]

    def spec(self) -> dict[str, Any]:
        """Return the part as it stands in a job's settings."""
        return {"name": self.name, "settings": self.settings}


@dataclass(frozen=True)
class TrainJob:
    """One checkpoint: the folder it lies in, the settings that determine it, and the checkpoint before it."""

    folder: str
    spec: dict[str, Any]
    parent: str | None
    memory: bool
    """Whether the strategy reads a memory written after the previous task."""
    remembers: bool
    """Whether the strategy writes a memory after this task."""
    gpus: int
    given: str | None = None
    """The checkpoint this one is taken over from instead of being trained."""

    @property
    def key(self) -> str:
        """The one text of the settings; a change of it is a change of the result."""
        return canonical_json(self.spec)


@dataclass(frozen=True)
class ProbeJob:
    """The evaluation of one checkpoint (or of the random network) on every task of a stream."""

    folder: str
    spec: dict[str, Any]
    trained: bool

    @property
    def file(self) -> str:
        """The file of accuracies."""
        probes = "+".join(probe["label"] for probe in self.spec["probes"])
        return f"{self.folder}/probes/{Stream(**self.spec['stream']).name}/{probes}.json"

    @property
    def key(self) -> str:
        """The one text of the settings."""
        return canonical_json(self.spec)


@dataclass
class Plan:
    """Everything a study needs, each thing once."""

    study: Study
    streams: dict[str, Stream] = field(default_factory=dict)
    train: dict[str, TrainJob] = field(default_factory=dict)
    probe: dict[str, ProbeJob] = field(default_factory=dict)
    cells: dict[str, Any] = field(default_factory=dict)
    """What tables show: names of streams, backbones, objectives and strategies, variants included."""

    def summary(self) -> dict[str, Any]:
        """Return what tables and figures need to know of the study."""
        study = self.study
        return {
            "name": study.name,
            **self.cells,
            "seeds": study.seeds,
            "offline": study.offline,
        }

    def add_train(self, job: TrainJob) -> None:
        """Add a job; two jobs with one folder must have the same settings."""
        held = self.train.setdefault(job.folder, job)
        if held.spec != job.spec:
            keys = ", ".join(differences(held.spec, job.spec))
            raise SettingsError(f"two runs would share {job.folder} but differ in {keys}; make them two studies")

    def add_probe(self, job: ProbeJob) -> None:
        """Add an evaluation of a checkpoint on a stream."""
        self.probe[job.file] = job


def resolve(study: Study) -> Plan:
    """Return the plan of a study; raises `SettingsError` for anything impossible in it."""
    load_plugins(study.plugins)
    _check_names(study)
    plan = Plan(study)
    given = _given(study)
    probes = [probe_part(choice) for choice in study.probes]
    labels: dict[str, dict[str, None]] = {"streams": {}, "backbones": {}, "objectives": {}, "strategies": {}}
    for stream in (_stream(choice) for choice in study.streams):
        labels["streams"][stream.name] = None
        chosen = study.backbones or [data_sets.get(stream.data_set).default_backbone]
        for backbone in (_backbone(choice) for choice in chosen):
            labels["backbones"][backbone.label] = None
            for seed in study.seeds:
                _add_random(plan, stream, backbone, seed, probes)
                for choice in study.objectives:
                    objective, training, recipe = _objective(study, choice, stream.data_set, given)
                    labels["objectives"][objective.label] = None
                    strategies = [_strategy(s, recipe, objective.name) for s in study.strategies]
                    labels["strategies"] |= {strategy.label: None for strategy in strategies}
                    chain = _Chain(plan, stream, backbone, objective, training, seed, probes, given)
                    for strategy in strategies:
                        chain.add(strategy)
                    if study.offline:
                        joint = _objective(study, choice, stream.data_set)[0]
                        replace(chain, objective=joint, given=None).add_offline()
    plan.cells = {key: list(names) for key, names in labels.items()}
    if study.offline:
        plan.cells["strategies"].append("offline")
    plan.cells["probes"] = [probe.label for probe in probes]
    return plan


@dataclass
class _Chain:
    """The runs of one (stream, backbone, objective, seed)."""

    plan: Plan
    stream: Stream
    backbone: Part
    objective: Part
    training: Training
    seed: int
    probes: list[Part]
    given: str | None = None
    """Fingerprint of the file that the first task is taken over from."""

    def _job(self, stream: Stream, strategy: Part | None, task: int, parent: str | None) -> TrainJob:
        kind = strategy_registry.get(strategy.name) if strategy else None
        shared = strategy is None or (task == 0 and kind is not None and kind.shares_first_task)
        spec = {
            "stream": stream.model_dump(mode="json"),
            "task": task,
            "seed": self.seed,
            "backbone": self.backbone.spec(),
            "objective": self.objective.spec(),
            "strategy": None if shared or strategy is None else strategy.spec(),
            "training": self.training.model_dump(mode="json"),
        }
        if self.given is not None:
            spec["first_checkpoint"] = self.given
        label = FIRST if shared or strategy is None else strategy.label
        folder = (
            f"results/{stream.name}/{self.backbone.label}/{self.objective.label}/{label}/seed{self.seed}/task{task}"
        )
        keeps = not shared and kind is not None and kind.keeps_memory
        execution = self.plan.study.execution
        gpus = 0 if execution.device == "cpu" else execution.gpus
        self.plan.streams[stream.name] = stream
        return TrainJob(
            folder=folder,
            spec=spec,
            parent=parent,
            memory=keeps and task > 0,
            remembers=keeps and task < stream.tasks - 1,
            gpus=data_sets.get(stream.data_set).gpus if gpus == "auto" else gpus,
            given=self.plan.study.first_checkpoint if self.given and task == 0 else None,
        )

    def add(self, strategy: Part) -> None:
        """Add every task of a strategy, and the evaluation of each checkpoint."""
        parent = None
        for task in range(self.stream.tasks):
            job = self._job(self.stream, strategy, task, parent)
            self.plan.add_train(job)
            self.plan.add_probe(_probe(self.probes, self.stream, job.folder, self.seed))
            parent = job.folder

    def add_offline(self) -> None:
        """Add the one-task stream of all data, evaluated on the tasks of this chain's stream."""
        joint = Stream.parse(f"{self.stream.data_set}-all")
        job = self._job(joint, None, 0, None)
        self.plan.add_train(job)
        self.plan.add_probe(_probe(self.probes, self.stream, job.folder, self.seed))


def _given(study: Study) -> str | None:
    """Return the fingerprint of the bytes of the study's first checkpoint, if it names one."""
    if study.first_checkpoint is None:
        return None
    for choice in study.strategies:
        if not strategy_registry.get(_named(choice)[0]).shares_first_task:
            raise SettingsError(f"first_checkpoint: strategy {_named(choice)[0]} needs a first task of its own")
    try:
        with open(study.first_checkpoint, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: {error.strerror}; check the path") from error


def _add_random(plan: Plan, stream: Stream, backbone: Part, seed: int, probes: list[Part]) -> None:
    plan.streams[stream.name] = stream
    folder = f"results/{stream.name}/{backbone.label}/{RANDOM}/seed{seed}"
    if untrained := [probe for probe in probes if probe.name != ONLINE]:
        probe = _probe(untrained, stream, folder, seed)
        plan.add_probe(ProbeJob(folder, {**probe.spec, "backbone": backbone.spec()}, trained=False))


def _probe(probes: list[Part], stream: Stream, folder: str, seed: int) -> ProbeJob:
    return ProbeJob(folder, probe_spec(probes, stream, seed), trained=True)


def probe_spec(probes: list[Part], stream: Stream, seed: int) -> dict[str, Any]:
    """Return everything that determines an evaluation of a given checkpoint."""
    chosen = [{"label": probe.label, **probe.spec()} for probe in probes]
    return {"stream": stream.model_dump(mode="json"), "seed": seed, "probes": chosen}


def _named(choice: Choice) -> tuple[str, dict[str, Any]]:
    if isinstance(choice, str):
        return choice, {}
    if "name" not in choice:
        raise SettingsError(f"{choice} needs a 'name'")
    return str(choice["name"]), {key: value for key, value in choice.items() if key != "name"}


def _check_names(study: Study) -> None:
    """Raise `SettingsError` for what would fail late: unknown figures and data sets, a study that trains nothing."""
    for asked, known in ((study.figures, figure_names()), (study.features, figure_names(FEATURE_FIGURES))):
        for figure in asked:
            if figure not in known:
                raise unknown("figure", figure, known)
    for name, settings in study.data.items():
        data_sets.get(name)(**settings)
    if not (study.strategies or study.offline):
        raise SettingsError("this study trains nothing: give strategies, or offline: true")


def figure_names(package: str = "cassle.reporting.figures") -> list[str]:
    """Return the names of the figures that there are in a package, without importing what draws them."""
    place = find_spec(package)
    modules = pkgutil.iter_modules(place.submodule_search_locations if place else [])
    return sorted(module.name for module in modules if module.name != "base" and not module.ispkg)


FEATURE_FIGURES = "cassle.reporting.figures.features"


def probe_part(choice: Choice) -> Part:
    """Return a probe by name and changed settings; `SettingsError` for a name or setting it does not have."""
    name, options = _named(choice)
    if name == ONLINE:
        return Part(ONLINE, ONLINE, parse(Options, options, f"probe {ONLINE}").model_dump())
    if name not in probe_registry.names():
        raise unknown("probe", name, [*probe_registry.names(), ONLINE])
    return _part(name, options, probe_registry.get(name).Settings, "probe")


def _part(name: str, options: Mapping[str, Any], kind: type[Options], what: str) -> Part:
    """Return a part whose label names the settings that are not the default ones."""
    settings = parse(kind, options, f"{what} {name}").model_dump(mode="json")
    return Part(label_of(name, differences(kind().model_dump(mode="json"), settings)), name, settings)


def label_of(name: str, changes: Mapping[str, Any]) -> str:
    """Return the folder name of a part: its name, and the settings that differ (a hash beyond 40 characters).

    >>> label_of("simclr", {"temperature": 0.2, "epochs": 2})
    'simclr~epochs=2~temperature=0.2'

    No comma is in it: Snakemake hands a job's wildcards to clusters as a list with commas.
    """
    if not changes:
        return name
    text = "~".join(f"{key}={canonical_json(value).strip(chr(34))}" for key, value in sorted(changes.items()))
    short = len(text) <= 40 and _SAFE.fullmatch(text)
    return f"{name}~{text if short else fingerprint(dict(changes))[:10]}"


def _stream(choice: Choice) -> Stream:
    name, options = _named(choice)
    stream = Stream.parse(name, **options)
    if stream.scenario == "all":
        raise SettingsError(
            f"{name} has one task, so no strategy can act: give the stream to evaluate on, and offline: true to train "
            "on everything at once"
        )
    return stream


def _backbone(choice: Choice) -> Part:
    name, options = _named(choice)
    return _part(name, options, backbone_registry.get(name).Settings, "backbone")


@cache
def _recipe(objective: str, data_set: str, folders: tuple[Path, ...]) -> Recipe:
    others = []
    for file in (folder / f"{objective}.yaml" for folder in folders):
        if file.is_file():
            entries = read_yaml(file)
            if data_set in entries:
                return parse(Recipe, entries[data_set], f"{file}, {data_set}")
            others.append(f"{file} (it has: {', '.join(sorted(entries))})")
    if others:
        raise SettingsError(f"no recipe of {objective} for data set '{data_set}'; add one to {' or '.join(others)}")
    places = " or ".join(str(folder) for folder in folders)
    raise SettingsError(f"objective '{objective}' has no recipe: write {objective}.yaml in {places}")


def recipe_folders(study: Study) -> tuple[Path, ...]:
    """Return where recipes are looked for: the study's folder or the repository's, then beside each plugin."""
    return (Path(study.recipes) if study.recipes else RECIPES, *(Path(plugin).parent for plugin in study.plugins))


def _objective(study: Study, choice: Choice, data_set: str, given: str | None = None) -> tuple[Part, Training, Recipe]:
    name, options = _named(choice)
    kind = objective_registry.get(name)
    recipe = _recipe(name, data_set, recipe_folders(study))
    usual = recipe.model_dump(mode="json", include=set(Training.model_fields))
    changes = merged(study.training, options.pop("training", {}))
    training = parse(Training, merged(usual, changes), f"training of {name} on {data_set}")
    if len(training.views) > 2 and not kind.many_views:
        raise SettingsError(f"objective {name} takes two views, not {len(training.views)}; shorten training.views")
    base = parse(kind.Settings, recipe.objective, f"recipe of {name} on {data_set}, objective").model_dump(mode="json")
    settings = parse(kind.Settings, merged(base, options), f"objective {name}").model_dump(mode="json")
    changed = differences(usual, training.model_dump(mode="json")) | differences(base, settings)
    if given is not None:
        changed["first"] = given
    return Part(label_of(name, changed), name, settings), training, recipe


def _strategy(choice: Choice, recipe: Recipe, objective: str) -> Part:
    name, options = _named(choice)
    kind, objective_kind = strategy_registry.get(name), objective_registry.get(objective)
    usual = recipe.strategies.get(name, {})
    base = kind.resolve(usual, objective_kind)
    settings = kind.resolve(merged(usual, options), objective_kind)
    return Part(label_of(name, differences(base, settings)), name, settings)
