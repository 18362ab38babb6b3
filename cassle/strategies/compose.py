"""Strategies joined by a plus sign, such as ``cassle+er``: hooks run in the order of the names, the teacher once.

A name without a plus has one part, itself: callers need not distinguish the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from cassle.core.errors import SettingsError, nearest
from cassle.core.options import Options, merged, parse
from cassle.core.random import seed_of
from cassle.models.checkpoints import load_into
from cassle.models.model import Model
from cassle.objectives.base import Group, Objective
from cassle.settings.recipe import Training
from cassle.strategies.base import Memory, MemoryCost, Strategy, TaskEnd, strategies
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch


def parts_of(name: str) -> dict[str, type[Strategy]]:
    """Return part -> class of a strategy's name; `SettingsError` for unknown or repeated parts."""
    names = name.split("+")
    kinds = {part: strategies.get(part) for part in names}
    if len(kinds) < len(names):
        raise SettingsError(f"strategy {name} names a part twice")
    for part, other in permutations(names, 2):
        if issubclass(kinds[part], kinds[other]):
            raise SettingsError(f"strategy {name}: {part} is {other} and more; leave {other} out")
    if len(names) > 1 and "finetune" in names:
        raise SettingsError(f"strategy {name}: finetune adds nothing to another strategy; leave it out")
    if len(replaying := [part for part, kind in kinds.items() if kind.replays]) > 1:
        raise SettingsError(f"strategy {name}: {' and '.join(replaying)} both replay; join at most one of them")
    return kinds


def shares_first_task(name: str) -> bool:
    """Return whether a strategy does nothing in task 0."""
    return all(kind.shares_first_task for kind in parts_of(name).values())


def keeps_memory(name: str) -> bool:
    """Return whether a strategy has a memory file."""
    return any(kind.keeps_memory for kind in parts_of(name).values())


def replayed_rows(name: str, settings: dict[str, Any], batch_size: int) -> int:
    """Return the largest number of replayed images that the network gets with a batch, from complete settings."""
    own = own_settings(name, settings)
    return sum(kind.replayed_rows(own[part], batch_size) for part, kind in parts_of(name).items())


def replayed_rows_in_loss(name: str, settings: dict[str, Any], batch_size: int) -> int:
    """Return the number of those that the objective's loss compares with the batch."""
    own = own_settings(name, settings)
    return sum(kind.replayed_rows_in_loss(own[part], batch_size) for part, kind in parts_of(name).items())


def own_settings(name: str, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return part -> settings of a strategy's complete settings."""
    return settings if "+" in name else {name: settings}


def recipe_settings(name: str, recipe: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of a strategy in a recipe's ``strategies``: those of each part, then those of the whole."""
    parts = {
        part: recipe.get(part, recipe.get(kind.fallback_recipe, {}) if kind.fallback_recipe else {})
        for part, kind in parts_of(name).items()
    }
    return merged(parts, recipe.get(name, {})) if "+" in name else parts[name]


def resolve_strategy(name: str, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
    """Return the complete settings of a strategy for use with an objective.

    Those of joined strategies are a mapping per part. Raises `SettingsError` for unknown keys, and for parts that need
    different teachers.
    """
    kinds = parts_of(name)
    if "+" not in name:
        return kinds[name].resolve(given, objective)
    for key, value in given.items():
        if key not in kinds:
            raise SettingsError(f"strategy {name}: unknown key '{key}': {nearest(key, kinds)}; settings go to a part")
        if not isinstance(value, Mapping):
            raise SettingsError(f"strategy {name}: '{key}' = {value!r} must be a mapping of that part's settings")
    settings = {part: kind.resolve(dict(given.get(part, {})), objective) for part, kind in kinds.items()}
    with_teacher = [part for part in settings.values() if "teacher_batchnorm" in part]
    if len({part["teacher_batchnorm"] for part in with_teacher}) > 1:
        raise SettingsError(f"strategy {name} has one teacher: give its parts the same teacher_batchnorm")
    if len({part.get("teacher", "online") for part in with_teacher}) > 1:
        raise SettingsError(f"strategy {name} has one teacher, and not every part learns from a momentum network")
    return settings


def strategy_classes(name: str, settings: dict[str, Any]) -> list[type]:
    """Return the classes that a run of a strategy depends on."""
    own = own_settings(name, settings)
    return [used for part, kind in parts_of(name).items() for used in (kind, *kind.dependencies(own[part]))]


def build_parts(name: str, settings: dict[str, Any], model: Model, seed: int) -> Strategy:
    """Return a strategy, each part with the same random weights of (seed, strategy) as alone."""
    own = own_settings(name, settings)
    built = {}
    for part, kind in parts_of(name).items():
        torch.manual_seed(seed_of(seed, "strategy", part))
        built[part] = kind(parse(kind.Settings, own[part], f"strategy {part}"), model)
    return Composite(built, model) if "+" in name else built[name]


class Composite(Strategy):
    """Several strategies as one; names of a part's tensors and memory begin with the part's name."""

    def __init__(self, parts: dict[str, Strategy], model: Model) -> None:
        super().__init__(Options(), model)
        self.parts = nn.ModuleDict(parts)
        self.shares_first_task = all(part.shares_first_task for part in parts.values())
        for fact in ("keeps_memory", "replays", "uses_maps"):
            setattr(self, fact, any(getattr(part, fact) for part in parts.values()))

    def _named(self) -> list[tuple[str, Strategy]]:
        return [(name, cast(Strategy, part)) for name, part in self.parts.items()]

    def _agreed(self, what: str) -> Any:
        """Return the common value of an attribute in parts with a teacher; `SettingsError` if they differ."""
        asked = {name: getattr(part, what) for name, part in self._named() if part.teacher_batchnorm is not None}
        if len(set(asked.values())) > 1:
            reported = ", ".join(f"{value} ({name})" for name, value in asked.items())
            raise SettingsError(f"its parts share one teacher, but ask for more than one {what}: {reported}")
        return next(iter(asked.values()), None)

    @property
    def teacher_batchnorm(self) -> Literal["frozen", "batch"] | None:
        """The one mode that all parts with a teacher ask for."""
        return cast(Literal["frozen", "batch"] | None, self._agreed("teacher_batchnorm"))

    @property
    def teacher_network(self) -> Literal["online", "momentum"]:
        """The one network that all parts with a teacher ask for."""
        return cast(Literal["online", "momentum"], self._agreed("teacher_network") or "online")

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return a reason if the parts need different teachers, or the reason of one part."""
        try:
            _ = self.teacher_batchnorm, self.teacher_network
        except SettingsError as error:
            return str(error)
        reasons = {name: part.incompatibility(model, training) for name, part in self._named()}
        return next((f"{name}: {reason}" for name, reason in reasons.items() if reason), None)

    def load_previous(self, tensors: dict[str, Tensor], what: str) -> None:
        """Load each part's own tensors."""
        if any(not key.startswith(tuple(f"parts.{name}." for name in self.parts)) for key in tensors):
            load_into(self, tensors, what)  # raises the error with the names that do not fit
        for name, part in self._named():
            part.load_previous(_below(f"parts.{name}.", tensors), what)

    def build_memory(self, end: TaskEnd, previous: Memory) -> Memory:
        """Return the memories of all parts."""
        made: Memory = {}
        for name, part in self._named():
            own = part.build_memory(end, _below(f"{name}.", previous))
            made |= {f"{name}.{key}": value for key, value in own.items()}
        return made

    def memory_cost(self, images: int, batch_size: int) -> MemoryCost:
        """Return the sum over all parts."""
        return sum((part.memory_cost(images, batch_size) for _, part in self._named()), MemoryCost())

    def load_memory(self, memory: Memory) -> None:
        """Load each part's own memory."""
        for name, part in self._named():
            if part.keeps_memory:
                part.load_memory(_below(f"{name}.", memory))

    def replay(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return the rows of the one part that replays."""
        chosen = [part for _, part in self._named() if part.replays]
        return chosen[0].replay(count, generator) if chosen else None

    def mix_views(self, views: list[Tensor], batch: Batch) -> tuple[list[Tensor], Batch]:
        """Let each part change the views, in order."""
        for _, part in self._named():
            views, batch = part.mix_views(views, batch)
        return views, batch

    def penalty(self, step: Step) -> Tensor | None:
        """Return the sum of the parts' penalties."""
        penalties = [penalty for _, part in self._named() if (penalty := part.penalty(step)) is not None]
        return torch.stack(penalties).sum() if penalties else None

    def groups(self) -> list[Group]:
        """Return the groups of all parts."""
        return [group for _, part in self._named() for group in part.groups()]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
