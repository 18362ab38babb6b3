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

from cassle.data.base import data_sets, declare
from cassle.data.streams import Stream
from cassle.errors import SettingsError, unknown
from cassle.evaluation.base import Probe, streams_of
from cassle.evaluation.base import probes as probe_registry
from cassle.files import canonical_json, fingerprint
from cassle.nets.base import backbones as backbone_registry
from cassle.objectives.base import objectives as objective_registry
from cassle.options import Options, differences, merged, parse
from cassle.paths import FIRST, OFFLINE, RANDOM
from cassle.presets import backbone_preset, data_preset, objective_preset, strategy_preset, training_preset
from cassle.registry import load_plugins
from cassle.settings import Choice, Recipe, Study, Training, read_yaml
from cassle.strategies.compose import keeps_memory, recipe_settings, resolve_strategy, shares_first_task

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
    gpus: int
    given: str | None = None
    """The checkpoint this one is taken over from instead of being trained."""
    memory: str | None = None
    """The memory that the strategy starts from, made after the previous task."""

    @property
    def key(self) -> str:
        """The one text of the settings; a change of it is a change of the result."""
        return canonical_json(self.spec)


@dataclass(frozen=True)
class MemoryJob:
    """What a strategy keeps after one task: the folder, the settings, the checkpoint and the memory it is made from."""

    folder: str
    spec: dict[str, Any]
    checkpoint: str
    previous: str | None
    gpus: int

    @property
    def file(self) -> str:
        """The file of what is kept."""
        return f"{self.folder}/memory.pt"

    @property
    def key(self) -> str:
        """The one text of the settings."""
        return canonical_json(self.spec)


@dataclass(frozen=True)
class ProbeJob:
    """The evaluation of one checkpoint (or of the random network) on every task of a stream."""

    folder: str
    spec: dict[str, Any]
    trained: bool

    @property
    def streams(self) -> list[Stream]:
        """The stream that is evaluated, and others that its probes look at."""
        return streams_of(self.spec)

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
    the order of the study; and ``rows``, which of them belong together: one entry per row of a table."""
    names: dict[str, str] = field(default_factory=dict)
    """Label -> name of what is used as recipe and preset say, where the two differ; a variant is not among them."""

    joint: dict[str, str] = field(default_factory=dict)
    """Name of a stream -> that of the stream of all its data, which offline models are trained on."""

    def summary(self) -> dict[str, Any]:
        """Return what tables and figures need to know of the study."""
        grids = self.study.complete_grids()
        return {
            "name": self.study.name,
            **self.cells,
            "seeds": sorted({seed for grid in grids for seed in grid.seeds}),
            "offline": any(grid.offline for grid in grids),
            "presets": sorted({grid.preset for grid in grids}),
            "names": self.names,
            "joint": self.joint,
        }

    def name(self, label: str, choice: Choice) -> None:
        """Note what a label means that a preset made of a name."""
        if isinstance(choice, str) and label != choice:
            self.names[label] = choice

    def show(self, stream: str, backbone: str, objective: str, strategy: str, probe: str) -> None:
        """Add a row to the table of a stream under a probe."""
        row = {"stream": stream, "backbone": backbone, "objective": objective, "strategy": strategy, "probe": probe}
        names = zip(("streams", "backbones", "objectives", "strategies", "probes"), row.values(), strict=True)
        for key, name in [*names, ("rows", row)]:
            if name not in self.cells[key]:
                self.cells[key].append(name)

    def parts(self) -> list[Plan]:
        """Return the plan of each study that has tables of its own: several that are done together, or this one."""
        return self.studies or [self]

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
        """Add an evaluation of a checkpoint on a stream, and the streams it looks at."""
        self.probe[job.file] = job
        self.streams |= {stream.name: stream for stream in job.streams}


def resolve(study: Study) -> Plan:
    """Return the plan of a study; raises `SettingsError` for anything impossible in it."""
    load_plugins(study.plugins)
    declare(study.data)
    plan = Plan(study)
    for grid in study.complete_grids():
        _check_names(grid)
        _add_grid(plan, grid)
    plan.cells["strategies"].sort(key=lambda name: name == OFFLINE)  # behind those that it bounds
    return plan


def together(study: Study, plans: list[Plan]) -> Plan:
    """Return one plan of several studies, each job once; raises `SettingsError` where two contradict each other."""
    plan = Plan(study, plans)
    for one in plans:
        plan.streams |= one.streams
        plan.probe |= one.probe
        plan.memory |= one.memory
        for job in one.train.values():
            plan.add_train(job)
    return plan


def _add_grid(plan: Plan, study: Study) -> None:
    """Add the runs of one grid, complete in itself, and what tables show of it."""
    given, data = _given(study), data_preset(study.preset, study.data)
    probes = [probe_part(choice) for choice in study.probes]
    for choice in study.streams:
        stream = _stream(choice, data)
        _check_probes(probes, stream)
        data_set = stream.open({})
        if set(study.data.get(stream.data_set, {})) <= data_set.places:
            plan.name(stream.name, choice)
        methods = [_method(plan, study, one, stream.data_set, given) for one in study.objectives]
        for one in study.backbones or [data_set.default_backbone]:
            backbone = _backbone(one, study, data_set.image_size)
            plan.name(backbone.label, one)
            for seed in study.seeds:
                _add_random(plan, stream, backbone, seed, probes, data)
                for method in methods:
                    chain = _Chain(plan, study, stream, backbone, method, seed, probes, data, given)
                    for strategy in method.strategies:
                        chain.add(strategy)
                    if method.joint is not None:
                        chain.add_offline(method.joint)
                    for label in method.labels():
                        for probe in probes:
                            plan.show(stream.name, backbone.label, method.objective.label, label, probe.label)


@dataclass(frozen=True)
class _Method:
    """An objective on a data set: its training, its strategies, and itself as it is trained on everything at once."""

    objective: Part
    training: Training
    strategies: list[Part]
    joint: Part | None

    def labels(self) -> list[str]:
        """Return the names of its rows in a table."""
        return [*(strategy.label for strategy in self.strategies), *([] if self.joint is None else [OFFLINE])]


def _method(plan: Plan, study: Study, choice: Choice, data_set: str, given: str | None) -> _Method:
    """Return an objective of a study with all its strategies."""
    objective, training, recipe = _objective(study, choice, data_set, given)
    if not study.training and given is None:
        plan.name(objective.label, choice)
    strategies = [_strategy(one, study, recipe, objective.name) for one in study.strategies]
    for strategy, one in zip(strategies, study.strategies, strict=True):
        plan.name(strategy.label, one)
    joint = _objective(study, choice, data_set)[0] if study.offline else None
    return _Method(objective, training, strategies, joint)


@dataclass
class _Chain:
    """The runs of one (stream, backbone, objective, seed)."""

    plan: Plan
    study: Study
    stream: Stream
    backbone: Part
    method: _Method
    seed: int
    probes: list[Part]
    data: Mapping[str, Mapping[str, Any]]
    """Settings per data set, those of the preset among them."""
    given: str | None = None
    """Fingerprint of the file that the first task is taken over from."""

    def _job(self, stream: Stream, strategy: Part | None, task: int, parent: str | None) -> TrainJob:
        shared = strategy is None or (task == 0 and shares_first_task(strategy.name))
        spec = {
            "stream": stream.model_dump(mode="json"),
            "task": task,
            "seed": self.seed,
            "backbone": self.backbone.spec(),
            "objective": self.method.objective.spec(),
            "strategy": None if shared or strategy is None else strategy.spec(),
            "training": self.method.training.model_dump(mode="json"),
        }
        if self.given is not None:
            spec["first_checkpoint"] = self.given
        label = FIRST if shared or strategy is None else strategy.label
        execution = self.study.execution
        gpus = 0 if execution.device == "cpu" else execution.gpus
        self.plan.streams[stream.name] = stream
        return TrainJob(
            folder=self._folder(stream, label, task),
            spec=spec,
            parent=parent,
            gpus=data_sets.get(stream.data_set).gpus if gpus == "auto" else gpus,
            given=self.study.first_checkpoint if self.given and task == 0 else None,
        )

    def _folder(self, stream: Stream, label: str, task: int) -> str:
        objective = self.method.objective.label
        return f"results/{stream.name}/{self.backbone.label}/{objective}/{label}/seed{self.seed}/task{task}"

    def add(self, strategy: Part) -> None:
        """Add every task of a strategy, what it keeps after each but the last, and each evaluation."""
        parent = memory = None
        for task in range(self.stream.tasks):
            job = replace(self._job(self.stream, strategy, task, parent), memory=memory)
            self.plan.add_train(job)
            self.plan.add_probe(self.evaluation(job.folder))
            parent = job.folder
            if keeps_memory(strategy.name) and task < self.stream.tasks - 1:
                spec = {**job.spec, "strategy": strategy.spec()}
                folder = self._folder(self.stream, strategy.label, task)
                kept = MemoryJob(folder, spec, job.folder, memory, job.gpus)
                self.plan.memory[folder] = kept
                memory = kept.file

    def evaluation(self, folder: str) -> ProbeJob:
        """Return the evaluation of a checkpoint on the chain's stream."""
        return ProbeJob(folder, probe_spec(self.probes, self.stream, self.seed, self.data), trained=True)

    def add_offline(self, objective: Part) -> None:
        """Add the one-task stream of all data, evaluated on the tasks of this chain's stream."""
        joint = Stream.parse(f"{self.stream.data_set}-all", {self.stream.data_set: self.stream.data})
        self.plan.joint[self.stream.name] = joint.name
        chain = replace(self, method=replace(self.method, objective=objective), given=None)
        job = chain._job(joint, None, 0, None)
        self.plan.add_train(job)
        self.plan.add_probe(self.evaluation(job.folder))


def _given(study: Study) -> str | None:
    """Return the fingerprint of the bytes of the study's first checkpoint, if it names one."""
    if study.first_checkpoint is None:
        return None
    for choice in study.strategies:
        if not shares_first_task(_named(choice)[0]):
            raise SettingsError(f"first_checkpoint: strategy {_named(choice)[0]} needs a first task of its own")
    try:
        with open(study.first_checkpoint, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: {error.strerror}; check the path") from error


def _add_random(
    plan: Plan,
    stream: Stream,
    backbone: Part,
    seed: int,
    probes: list[Part],
    data: Mapping[str, Mapping[str, Any]],
) -> None:
    plan.streams[stream.name] = stream
    folder = f"results/{stream.name}/{backbone.label}/{RANDOM}/seed{seed}"
    if untrained := [probe for probe in probes if not build_probe(probe.spec()).needs_training]:
        spec = probe_spec(untrained, stream, seed, data)
        plan.add_probe(ProbeJob(folder, {**spec, "backbone": backbone.spec()}, trained=False))


def probe_spec(probes: list[Part], stream: Stream, seed: int, data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return everything that determines an evaluation of a given checkpoint; ``data``: settings per data set.

    A probe that looks at the images of another stream has it in its part of the settings.
    """
    chosen = []
    for probe in probes:
        elsewhere = build_probe(probe.spec()).elsewhere
        other = {"stream": Stream.parse(elsewhere, data).model_dump(mode="json")} if elsewhere else {}
        chosen.append({"label": probe.label, **probe.spec(), **other})
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
    kind = probe_registry.get(name)
    settings = parse(kind.Settings, options, f"probe {name}").model_dump(mode="json")
    return Part(label_of(name, kind(**settings).changes()), name, settings)


def build_probe(spec: Mapping[str, Any]) -> Probe:
    """Return the probe that a part of a job's settings describes."""
    return probe_registry.get(spec["name"])(**spec["settings"])


def _check_probes(probes: list[Part], stream: Stream) -> None:
    """Raise `SettingsError` for a probe that makes no sense on a stream."""
    for probe in probes:
        if (reason := build_probe(probe.spec()).misfit(stream)) is not None:
            raise SettingsError(f"probe {probe.label} does not suit {stream.name}: {reason}")


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


def _stream(choice: Choice, data: Mapping[str, Mapping[str, Any]]) -> Stream:
    name, options = _named(choice)
    if "data" in options:
        raise SettingsError(f"stream {name}: settings of a data set stand in the study, as data: {{name: {{...}}}}")
    stream = Stream.parse(name, data, **options)
    if stream.scenario == "all":
        raise SettingsError(
            f"{name} has one task, so no strategy can act: give the stream to evaluate on, and offline: true to train "
            "on everything at once"
        )
    return stream


def _backbone(choice: Choice, study: Study, image_size: int) -> Part:
    name, options = _named(choice)
    kind = backbone_registry.get(name).Settings
    return _part(name, {**backbone_preset(study.preset, kind, image_size), **options}, kind, "backbone")


@cache
def _recipe(objective: str, data_set: str, folders: tuple[Path, ...]) -> Recipe:
    others = []
    for file in (folder / f"{objective}.yaml" for folder in folders):
        if file.is_file():
            entries = read_yaml(file)
            for name in (data_set, data_sets.get(data_set).kind):
                if name in entries:
                    return parse(Recipe, entries[name], f"{file}, {name}")
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
    preset = training_preset(study.preset, data_set, name, changes.get("batch_size", recipe.batch_size))
    changes = merged(preset, changes)
    where = f"training of {name} on {data_set}"
    views = changes.get("views")
    if isinstance(views, str):
        changes["views"] = _more_views(recipe, views, where)
    training = parse(Training, merged(usual, changes), where)
    if len(training.views) > 2 and not kind.many_views:
        raise SettingsError(f"objective {name} takes two views, not {len(training.views)}; shorten training.views")
    base = parse(kind.Settings, recipe.objective, f"recipe of {name} on {data_set}, objective").model_dump(mode="json")
    options = {**objective_preset(study.preset, kind.Settings), **options}
    settings = parse(kind.Settings, merged(base, options), f"objective {name}").model_dump(mode="json")
    changed = differences(usual, training.model_dump(mode="json")) | differences(base, settings)
    if isinstance(views, str):
        changed = {key: value for key, value in changed.items() if not key.startswith("views")} | {"views": views}
    if given is not None:
        changed["first"] = given
    return Part(label_of(name, changed), name, settings), training, recipe


def _more_views(recipe: Recipe, word: str, where: str) -> list[dict[str, Any]]:
    """Return the views that a recipe keeps under a name."""
    if word not in recipe.more_views:
        known = ", ".join(recipe.more_views) or "no others"
        raise SettingsError(f"{where}: the recipe has no views '{word}'; besides its usual ones it has {known}")
    return [view.model_dump(mode="json") for view in recipe.more_views[word]]


def _strategy(choice: Choice, study: Study, recipe: Recipe, objective: str) -> Part:
    name, options = _named(choice)
    kind = objective_registry.get(objective)
    usual = recipe_settings(name, recipe.strategies)
    base = resolve_strategy(name, usual, kind)
    chosen = merged(strategy_preset(study.preset, name), options)
    settings = resolve_strategy(name, merged(usual, chosen), kind)
    return Part(label_of(name, differences(base, settings)), name, settings)
