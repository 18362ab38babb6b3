"""The preset `original`: the settings of the official release where this project does otherwise.

Every switch is a setting of its own; the preset only chooses their values, and what a user says of a setting counts
before it. What each is good for: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cassle.core.options import Options
from cassle.data.base import datasets
from cassle.settings.recipe import Training

Preset = Literal["default", "original"]

STRATEGY = {"teacher_batchnorm": "batch"}
"""The frozen model normalizes with the statistics of the batch."""
OBJECTIVE = {"prototypes": "free"}
"""SwAV's prototypes have a length of their own."""
DATA_SET = {"statistics": "original"}
"""Red has a standard deviation of 0.228 on ImageNet100 and DomainNet; CIFAR100 has the statistics of CIFAR10."""
SMALL_STEM = {"stem_padding": 2}
"""A ResNet for small images pads its first convolution by 2."""
SMALL_IMAGE = 64
"""Side up to which a ResNet has that stem; said here again, as whoever collects results need not import networks."""
ONLINE = {"online_batch": "shared"}
"""The images of the online classifier, which was in use on CIFAR only, enter the network's BatchNorm statistics."""
ONLINE_DATA_SETS = ("cifar10", "cifar100")
CLEAN = {
    "teacher_batchnorm": "frozen",
    "prototypes": "normalized",
    "statistics": "usual",
    "stem_padding": 1,
    "online_batch": "apart",
    "loss_group": "global",
    "gradient_scale": 1.0,
}
"""What each switch is without the preset; said here again, too."""
LOSS_GROUPS = {"imagenet100": 128, "domainnet": 64}
"""Images per GPU of the release; CIFAR was trained on one GPU."""
LOCAL_OBJECTIVES = ("mocov2plus", "nnclr", "simclr", "supcon", "vicreg")
"""Objectives whose loss or distillation compared the images of one GPU only. The others compare none across images, or,
as Barlow Twins, SwAV and DINO, averaged over GPUs what they computed."""

UNSHARED_GRADIENTS = ("barlow_twins",)
"""Objectives whose average over GPUs was not differentiated there: N GPUs gave an N-th of the gradient."""


def strategy_preset(preset: Preset, name: str) -> dict[str, Any]:
    """Return the preset's changes of a strategy's settings; those of joined strategies are a mapping per part."""
    if preset != "original":
        return {}
    from cassle.strategies.compose import parts_of

    parts = {part: _known(STRATEGY, kind.Settings) for part, kind in parts_of(name).items()}
    return {part: changes for part, changes in parts.items() if changes} if "+" in name else parts[name]


def objective_preset(preset: Preset, settings: type[Options]) -> dict[str, Any]:
    """Return the preset's changes of an objective's settings."""
    return _known(OBJECTIVE, settings) if preset == "original" else {}


def backbone_preset(preset: Preset, settings: type[Options], image_size: int) -> dict[str, Any]:
    """Return the preset's changes of the settings of a backbone for images of a side."""
    return _known(SMALL_STEM, settings) if preset == "original" and image_size <= SMALL_IMAGE else {}


def data_preset(preset: Preset, given: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return settings per dataset: the preset's, and over them those that are ``given``."""
    if preset != "original":
        return given
    kinds = {name: datasets.get(name).Settings for name in datasets.names()}
    return {name: {**_known(DATA_SET, settings), **given.get(name, {})} for name, settings in kinds.items()}


def training_preset(preset: Preset, dataset: str, objective: str, batch_size: int) -> dict[str, Any]:
    """Return the preset's changes of the training of an objective on a dataset; a batch of one group needs none."""
    if preset != "original":
        return {}
    changes: dict[str, Any] = dict(ONLINE) if dataset in ONLINE_DATA_SETS else {}
    group = LOSS_GROUPS.get(dataset)
    if group is not None and batch_size > group:
        if objective in LOCAL_OBJECTIVES:
            changes["loss_group"] = group
        if objective in UNSHARED_GRADIENTS:
            changes["gradient_scale"] = group / batch_size
    return _known(changes, Training)


def preset_of(spec: Mapping[str, Any]) -> Literal["default", "original", "mixed", ""]:
    """Return the preset that the settings of a training agree with; empty where presets do not differ.

    ``mixed``: some agree with one and some with the other, or one has a value that is neither's.
    """
    training, strategy = spec["training"], spec["strategy"]
    stem = SMALL_STEM if training["views"][0]["size"] <= SMALL_IMAGE else {}
    wanted = training_preset("original", spec["stream"]["dataset"], spec["objective"]["name"], training["batch_size"])
    parts = [] if strategy is None else [strategy["settings"]]
    if strategy is not None and "+" in strategy["name"]:
        parts = list(strategy["settings"].values())
    switches: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        *((STRATEGY, settings) for settings in parts),
        (OBJECTIVE, spec["objective"]["settings"]),
        (stem, spec["backbone"]["settings"]),
        (DATA_SET, spec["stream"].get("data", {})),
        (wanted, training),
    ]
    agreeing = {
        _agreeing(given[key], CLEAN[key], value)
        for changes, given in switches
        for key, value in changes.items()
        if key in given
    }
    return "mixed" if len(agreeing) > 1 else agreeing.pop() if agreeing else ""


def _agreeing(value: Any, clean: Any, original: Any) -> Literal["default", "original", "mixed"]:
    return "original" if value == original else "default" if value == clean else "mixed"


def _known(changes: dict[str, Any], settings: type[Options]) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if key in settings.model_fields}
