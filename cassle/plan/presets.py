"""The preset `original`: the settings of the official release where the defaults of this project differ.

The values belong to their owners: ``original`` of an objective, strategy, backbone or dataset, ``original_loss`` of an
objective, ``original_training`` and ``original_gpu_batch`` of a dataset. This module combines them. The preset sets
ordinary settings, and explicit settings count before it. The effect of each setting: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from cassle.contracts.specs import TrainSpec
from cassle.core.options import Options
from cassle.core.registry import Registry
from cassle.data.base import datasets
from cassle.nets.base import Backbone, backbones
from cassle.objectives.base import Objective, objectives
from cassle.settings.recipe import Training
from cassle.strategies.base import strategies
from cassle.strategies.compose import own_settings, parts_of

Preset = Literal["default", "original"]
Agreement = Literal["default", "original", "mixed", ""]
T = TypeVar("T")


def strategy_preset(preset: Preset, name: str) -> dict[str, Any]:
    """Return the preset's changes of a strategy's settings; those of joined strategies are a mapping per part."""
    if preset != "original":
        return {}
    parts = {part: _known(kind.original, kind.Settings) for part, kind in parts_of(name).items()}
    return {part: changes for part, changes in parts.items() if changes} if "+" in name else parts[name]


def objective_preset(preset: Preset, kind: type[Objective]) -> dict[str, Any]:
    """Return the preset's changes of an objective's settings."""
    return _known(kind.original, kind.Settings) if preset == "original" else {}


def backbone_preset(preset: Preset, kind: type[Backbone], image_size: int) -> dict[str, Any]:
    """Return the preset's changes of the settings of a backbone for images of a side, in pixels."""
    return _known(kind.original(image_size), kind.Settings) if preset == "original" else {}


def data_preset(preset: Preset, given: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return settings per dataset: those of the preset, overridden by those in ``given``."""
    if preset != "original":
        return given
    kinds = {name: datasets.get(name) for name in datasets.names()}
    return {name: {**_known(kind.original, kind.Settings), **given.get(name, {})} for name, kind in kinds.items()}


def training_preset(preset: Preset, dataset: str, objective: str, batch_size: int) -> dict[str, Any]:
    """Return the preset's changes of the training of an objective on a dataset.

    The release compared the images of one GPU; a batch that is no larger needs no change. A dataset that a study
    declares is none of the release, whatever its kind.
    """
    if preset != "original":
        return {}
    changes: dict[str, Any] = {}
    group = None
    for data in _registered(datasets, dataset):
        if data.kind is None:
            changes |= data.original_training
            group = data.original_gpu_batch
    for kind in _registered(objectives, objective):
        if group is not None and batch_size > group:
            if kind.original_loss == "per_gpu":
                changes["loss_group"] = group
            elif kind.original_loss == "undifferentiated":
                changes["gradient_scale"] = group / batch_size
    return _known(changes, Training)


def preset_of(spec: TrainSpec) -> Agreement:
    """Return the preset that the settings of a training agree with; empty where the presets do not differ.

    ``mixed``: some settings agree with one preset and some with the other, or one has another value. A name of a plugin
    that is not loaded is compared by the keys of all registered classes.
    """
    training, stream, strategy = spec.training, spec.stream, spec.strategy
    objective, backbone, side = spec.objective, spec.backbone, training.views[0].size
    parts = {} if strategy is None else own_settings(strategy.name, strategy.settings)
    agreeing: set[Agreement] = set()
    for name, settings in parts.items():
        for one in _candidates(strategies, name):
            agreeing |= _agreements(settings, one.original, one.Settings)
    for kind in _candidates(objectives, objective.name):
        agreeing |= _agreements(objective.settings, kind.original, kind.Settings)
    for network in _candidates(backbones, backbone.name):
        agreeing |= _agreements(backbone.settings, network.original(side), network.Settings)
    for data in _candidates(datasets, stream.dataset):
        agreeing |= _agreements(stream.data, data.original, data.Settings)
    wanted = training_preset("original", stream.dataset, objective.name, training.batch_size)
    agreeing |= _agreements(training.model_dump(mode="json"), wanted, Training)
    return "mixed" if len(agreeing) > 1 else agreeing.pop() if agreeing else ""


def _agreements(given: Mapping[str, Any], original: Mapping[str, Any], settings: type[Options]) -> set[Agreement]:
    """Return the presets that the given values of the original's keys agree with."""
    found: set[Agreement] = set()
    for key, value in _known(original, settings).items():
        if key in given:
            default = settings.model_fields[key].default
            found.add("original" if given[key] == value else "default" if given[key] == default else "mixed")
    return found


def _registered(registry: Registry[T], name: str) -> list[T]:
    """Return the entry of a name, or nothing for a plugin that is not loaded."""
    return [registry.get(name)] if name in registry.names() else []


def _candidates(registry: Registry[T], name: str) -> Iterable[T]:
    """Return the entry of a name, or all entries for a plugin that is not loaded."""
    return _registered(registry, name) or map(registry.get, registry.names())


def _known(changes: Mapping[str, Any], settings: type[Options]) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if key in settings.model_fields}
