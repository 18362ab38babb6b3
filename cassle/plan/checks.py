"""Check that objective, training, strategies and backbone fit each other, on networks without storage."""

from __future__ import annotations

import hashlib
from functools import cache

import torch

from cassle.contracts.specs import NetworkSpec
from cassle.core.errors import CassleError, SettingsError, in_words, unknown
from cassle.core.registry import module_names, place_in_plugin
from cassle.data.base import datasets
from cassle.models.model import Model
from cassle.plan.components import LabeledComponent, named
from cassle.plan.methods import Method
from cassle.runtime.launch import shared_by
from cassle.settings.recipe import Training
from cassle.settings.study import Study
from cassle.strategies.compose import replayed_rows, replayed_rows_in_loss, shares_first_task
from cassle.training.build import build_model, build_strategy

FIGURES = "cassle.reporting.figures"
FEATURE_FIGURES = "cassle.reporting.figures.features"


def check_names(study: Study) -> None:
    """Raise `SettingsError` for unknown figures and datasets, and for a study that trains nothing."""
    for listed, known in ((study.figures, module_names(FIGURES)), (study.features, module_names(FEATURE_FIGURES))):
        for figure in listed:
            if figure not in known:
                raise unknown("figure", figure, known)
    for name, settings in study.data.items():
        datasets.get(name)(**settings)
    if not (study.strategies or study.offline):
        raise SettingsError("this study trains nothing: give strategies, or offline: true")


def fingerprint_of_first_checkpoint(study: Study) -> str | None:
    """Return 16 digits of the bytes of the checkpoint that first tasks are taken over from, if the study names one.

    Raises `SettingsError` if it cannot be read or passed on, or if a strategy needs a first task of its own.
    """
    if study.first_checkpoint is None:
        return None
    for choice in study.strategies:
        if not shares_first_task(named(choice)[0]):
            raise SettingsError(f"first_checkpoint: strategy {named(choice)[0]} needs a first task of its own")
    if {"{", "}"} & set(study.first_checkpoint):
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: Snakemake fills in braces; rename the file")
    try:
        with open(study.first_checkpoint, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: {error.strerror}; check the path") from error


def check_method(method: Method, backbone: LabeledComponent, image_size: int, processes: int) -> None:
    """Raise `SettingsError` for settings with which a training, or a later task of a strategy, would fail.

    ``processes``: number of processes that share each batch.
    """
    objective, training = method.objective, method.training
    network = NetworkSpec(seed=0, backbone=backbone.component, objective=objective.component, strategy=None)
    model = _blank_model(network.model_dump_json(), image_size)
    if reason := model.objective.batch_incompatibility(training.compared):
        raise SettingsError(
            f"objective {objective.label}: {reason}; these are training.loss_group, or training.batch_size where that "
            "is global"
        )
    for strategy in method.strategies:
        _check_groups(training, strategy)
        _check_shards(training, strategy, processes)
        with torch.device("meta"):
            built = build_strategy(network.model_copy(update={"strategy": strategy.component}), model)
            reason = built.incompatibility(model, training)
        if reason:
            raise SettingsError(f"strategy {strategy.label} with {objective.label}: {reason}")


@cache
def _blank_model(network: str, image_size: int) -> Model:
    spec = NetworkSpec.model_validate_json(network)
    names = f"{spec.objective.name} on {spec.backbone.name}"
    try:
        with torch.device("meta"):
            model = build_model(spec, image_size, num_classes=2)
    except RuntimeError as error:
        raise SettingsError(
            f"{names} cannot be built without storage, as the dry run does: {error}; a constructor makes layers and "
            "buffers, and reads no tensor's values"
        ) from error
    except CassleError:
        raise
    except Exception as error:  # the constructor of a plugin may raise anything
        raise SettingsError(f"{names} cannot be built: {in_words(error)}{place_in_plugin(error)}") from error
    for part, keys in ((model.backbone, ("feature_dim",)), (model.objective, ("projector", "output_dim"))):
        if missing := [key for key in keys if not hasattr(part, key)]:
            raise SettingsError(f"{names}: the constructor of {type(part).__name__} has to set self.{missing[0]}")
    return model


def _check_groups(training: Training, strategy: LabeledComponent) -> None:
    """Raise `SettingsError` if replayed images make batches that loss groups do not divide."""
    group, rows = training.loss_group, replayed_rows_in_loss(strategy.name, strategy.settings, training.batch_size)
    if group != "global" and rows % group:
        raise SettingsError(
            f"strategy {strategy.label} adds {rows} replayed images to a batch, which training.loss_group {group} does "
            "not divide; choose replay_size and buffer_size accordingly, or loss_group: global"
        )


def _check_shards(training: Training, strategy: LabeledComponent, processes: int) -> None:
    """Raise `SettingsError` if processes cannot share the replayed images of a batch evenly."""
    count = shared_by(processes, training.batch_size)
    rows = replayed_rows(strategy.name, strategy.settings, training.batch_size)
    if rows % count:
        raise SettingsError(
            f"strategy {strategy.label} adds {rows} replayed images to a batch, which {count} processes cannot share "
            "evenly; choose replay_size and buffer_size accordingly, or other execution.gpus (processes on the CPU)"
        )
