"""From the words of `cassle probe` to the settings of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cassle.data.streams import Stream
from cassle.errors import CheckpointError, SettingsError
from cassle.models.checkpoints import load_checkpoint
from cassle.nets.base import backbones
from cassle.options import parse
from cassle.runs.parts import DataSettings, Part
from cassle.runs.probes import Evaluation, probe_part, probe_spec
from cassle.settings.study import Choice


def described(
    data: DataSettings,
    checkpoint: Path | None,
    stream: str | None,
    data_set: str | None,
    probes: str,
    backbone: str | None,
    stem_padding: int | None,
    image_size: int | None,
) -> dict[str, Any]:
    """Return a `ProbeJob.spec`: by default on the stream that the checkpoint was trained on.

    ``data``: settings per data set. ``backbone`` is needed for a file of other software, or without a file for an
    untrained network; neither knows a stream, so that is needed too: by name, or all of a data set. ``probes``: names
    with commas, or a YAML list of choices. Raises `SettingsError` for what is missing or contradicts itself.
    """
    name = stream or (f"{data_set}-all" if data_set else None)
    parts = [probe_part(choice) for choice in _choices(probes)]
    if backbone is None:
        if stem_padding is not None or image_size is not None:
            raise SettingsError("--stem_padding and --image_size describe a --backbone; name it, such as resnet18")
        if checkpoint is None:
            raise SettingsError("give --checkpoint FILE, or --spec for the random network")
        try:
            spec = load_checkpoint(checkpoint).meta["spec"]
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}. If other software wrote it, describe its network: --backbone resnet18 --data_set NAME"
            ) from error
        trained = Stream(**spec["stream"])
        known = {**data, trained.data_set: trained.data}
        return _spec(parts, Stream.parse(name, known) if name else trained, spec["seed"], data)
    if name is None:
        raise SettingsError("give --data_set or --stream: a file of other software does not say what to evaluate it on")
    kind = backbones.get(backbone)
    given = {} if stem_padding is None else {"stem_padding": stem_padding}
    settings = parse(kind.Settings, given, f"backbone {backbone}").model_dump(mode="json")
    network: dict[str, Any] = {"backbone": {"name": backbone, "settings": settings}}
    if image_size is not None:
        if image_size < 1:
            raise SettingsError(f"--image_size {image_size}: the side of an image is a number of pixels above 0")
        network["image_size"] = image_size
    return {**_spec(parts, Stream.parse(name, data), 0, data), **network}


def _spec(parts: list[Part], stream: Stream, seed: int, data: DataSettings) -> dict[str, Any]:
    Evaluation(stream, parts, data).check()
    return probe_spec(parts, stream, seed, data)


def _choices(text: str) -> list[Choice]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",")]
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"--probes is not a YAML list: {error}") from error
    if not isinstance(found, list) or not found or not all(isinstance(choice, str | dict) for choice in found):
        raise SettingsError(f"--probes {text}: give names, or mappings with a name, as in [knn, {{name: knn, k: 5}}]")
    return found
