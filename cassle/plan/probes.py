"""Probes of a study, and everything that determines an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cassle.contracts.layout import RANDOM
from cassle.core.errors import CheckpointError, SettingsError
from cassle.core.options import parse
from cassle.data.streams import Stream
from cassle.evaluation.base import Probe
from cassle.evaluation.base import probes as registry
from cassle.models.checkpoints import load_checkpoint
from cassle.nets.base import backbones
from cassle.plan.jobs import ProbeJob
from cassle.plan.labels import label_of, shown_name
from cassle.plan.parts import Datasettings, Part, named
from cassle.settings.study import Choice


def probe_part(choice: Choice) -> Part:
    """Return a probe by name and changed settings; `SettingsError` for a name or setting it does not have."""
    name, options = named(choice)
    kind = registry.get(name)
    settings = parse(kind.Settings, options, f"probe {name}").model_dump(mode="json")
    changes = kind(**settings).changes()
    return Part(label_of(name, changes), name, settings, shown_name(name, changes, options))


def probe_spec(probes: list[Part], stream: Stream, seed: int, data: Datasettings) -> dict[str, Any]:
    """Return everything that determines an evaluation of a given checkpoint; ``data``: settings per dataset.

    A probe that looks at the images of another stream has it in its part of the settings.
    """
    chosen = []
    for probe in probes:
        elsewhere = _build(probe).elsewhere
        other = {"stream": Stream.parse(elsewhere, data).model_dump(mode="json")} if elsewhere else {}
        chosen.append({"label": probe.label, **probe.spec(), **other})
    return {"stream": stream.model_dump(mode="json"), "seed": seed, "probes": chosen}


@dataclass(frozen=True)
class Evaluation:
    """How the checkpoints of a stream are evaluated."""

    stream: Stream
    probes: list[Part]
    data: Datasettings

    def check(self) -> None:
        """Raise `SettingsError` for a probe that makes no sense on the stream."""
        for probe in self.probes:
            if (reason := _build(probe).incompatibility(self.stream)) is not None:
                raise SettingsError(f"probe {probe.label} does not suit {self.stream.name}: {reason}")

    def of_checkpoint(self, folder: str, seed: int) -> ProbeJob:
        """Return the evaluation of the checkpoint in a folder."""
        return ProbeJob(folder, probe_spec(self.probes, self.stream, seed, self.data), trained=True)

    def of_random_network(self, backbone: Part, seed: int) -> ProbeJob | None:
        """Return the evaluation of an untrained network by the probes that need no training, if there are any."""
        probes = [probe for probe in self.probes if not _build(probe).needs_training]
        if not probes:
            return None
        folder = f"results/{self.stream.name}/{backbone.label}/{RANDOM}/seed{seed}"
        spec = probe_spec(probes, self.stream, seed, self.data)
        return ProbeJob(folder, {**spec, "backbone": backbone.spec()}, trained=False)


def _build(probe: Part) -> Probe:
    return registry.get(probe.name)(**probe.settings)


def described(
    data: Datasettings,
    checkpoint: Path | None,
    stream: str | None,
    dataset: str | None,
    probes: str,
    backbone: str | None,
    stem_padding: int | None,
    image_size: int | None,
) -> dict[str, Any]:
    """Return a `ProbeJob.spec`: by default on the stream that the checkpoint was trained on.

    ``data``: settings per dataset. ``backbone`` is needed for a file of other software, or without a file for an
    untrained network; neither knows a stream, so that is needed too: by name, or all of a dataset. ``probes``: names
    with commas, or a YAML list of choices. Raises `SettingsError` for what is missing or contradicts itself.
    """
    name = stream or (f"{dataset}-all" if dataset else None)
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
                f"{error}. If other software wrote it, describe its network: --backbone resnet18 --dataset NAME"
            ) from error
        trained = Stream(**spec["stream"])
        known = {**data, trained.dataset: trained.data}
        return _spec(parts, Stream.parse(name, known) if name else trained, spec["seed"], data)
    if name is None:
        raise SettingsError("give --dataset or --stream: a file of other software does not say what to evaluate it on")
    kind = backbones.get(backbone)
    given = {} if stem_padding is None else {"stem_padding": stem_padding}
    settings = parse(kind.Settings, given, f"backbone {backbone}").model_dump(mode="json")
    network: dict[str, Any] = {"backbone": {"name": backbone, "settings": settings}}
    if image_size is not None:
        if image_size < 1:
            raise SettingsError(f"--image_size {image_size}: the side of an image is a number of pixels above 0")
        network["image_size"] = image_size
    return {**_spec(parts, Stream.parse(name, data), 0, data), **network}


def _spec(parts: list[Part], stream: Stream, seed: int, data: Datasettings) -> dict[str, Any]:
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
