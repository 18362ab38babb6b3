"""Whether objective, training, strategies and backbone go together: asked of networks without storage."""

from __future__ import annotations

import json
from functools import cache

import torch

from cassle.errors import CassleError, SettingsError, in_words
from cassle.files import canonical_json
from cassle.launch import shared_by
from cassle.models.model import Model
from cassle.registry import place_in_plugin
from cassle.runs.methods import Method
from cassle.runs.parts import Part
from cassle.settings.training import Training
from cassle.strategies.compose import joining, replayed
from cassle.training.build import build_model, build_strategy


def check_method(method: Method, backbone: Part, image_size: int, processes: int) -> None:
    """Raise `SettingsError` for what a training, or a strategy from its second task on, would fail with.

    ``processes``: how many share each batch.
    """
    objective, training = method.objective, method.training
    networks = {"backbone": backbone.spec(), "objective": objective.spec(), "seed": 0}
    model = _blank_model(canonical_json(networks), image_size)
    if reason := model.objective.too_few(training.compared):
        raise SettingsError(
            f"objective {objective.label}: {reason}; these are training.loss_group, or training.batch_size where that "
            "is global"
        )
    for strategy in method.strategies:
        _check_groups(training, strategy)
        _check_shares(training, strategy, processes)
        with torch.device("meta"):
            reason = build_strategy({**networks, "strategy": strategy.spec()}, model).misfit(model, training)
        if reason:
            raise SettingsError(f"strategy {strategy.label} with {objective.label}: {reason}")


@cache
def _blank_model(networks: str, image_size: int) -> Model:
    spec = json.loads(networks)
    names = f"{spec['objective']['name']} on {spec['backbone']['name']}"
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


def _check_groups(training: Training, strategy: Part) -> None:
    """Raise `SettingsError` if replayed images make batches that loss groups do not divide."""
    group, rows = training.loss_group, joining(strategy.name, strategy.settings, training.batch_size)
    if group != "global" and rows % group:
        raise SettingsError(
            f"strategy {strategy.label} adds {rows} replayed images to a batch, which training.loss_group {group} does "
            "not divide; choose replay_size and buffer_size accordingly, or loss_group: global"
        )


def _check_shares(training: Training, strategy: Part, processes: int) -> None:
    """Raise `SettingsError` if processes that share a batch cannot share what is replayed beside it."""
    count = shared_by(processes, training.batch_size)
    rows = replayed(strategy.name, strategy.settings, training.batch_size)
    if rows % count:
        raise SettingsError(
            f"strategy {strategy.label} adds {rows} replayed images to a batch, which {count} processes cannot share "
            "evenly; choose replay_size and buffer_size accordingly, or other execution.gpus (processes on the CPU)"
        )
