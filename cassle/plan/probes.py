"""Probes of a study, and everything that determines an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cassle.contracts.jobs import ProbeJob
from cassle.contracts.layout import TaskFolder
from cassle.contracts.specs import Component, ProbeComponent, ProbeSpec
from cassle.core.errors import CheckpointError, SettingsError
from cassle.core.options import parse
from cassle.data.streams import Stream
from cassle.evaluation.base import Probe
from cassle.evaluation.base import probes as registry
from cassle.models.checkpoints import load_checkpoint
from cassle.nets.base import backbones
from cassle.plan.components import DataSettings, LabeledComponent, named
from cassle.plan.labels import label_of, shown_name
from cassle.settings.study import Choice


def probe_component(choice: Choice) -> LabeledComponent:
    """Return a probe by name and changed settings; `SettingsError` for a name or setting it does not have."""
    name, options = named(choice)
    kind = registry.get(name)
    settings = parse(kind.Settings, options, f"probe {name}").model_dump(mode="json")
    changes = kind(**settings).changes()
    return LabeledComponent(label_of(name, changes), name, settings, shown_name(name, changes, options))


def probe_spec(
    probes: list[LabeledComponent],
    stream: Stream,
    seed: int,
    data: DataSettings,
    backbone: Component | None = None,
    image_size: int | None = None,
) -> ProbeSpec:
    """Return everything that determines an evaluation; ``data``: settings per dataset.

    ``backbone`` is that of an untrained network or of an external checkpoint, ``image_size`` that of the latter. A
    probe that evaluates on another stream has it in its component of the specification.
    """
    return ProbeSpec(
        stream=stream,
        seed=seed,
        probes=tuple(_resolved(probe, data) for probe in probes),
        backbone=backbone,
        image_size=image_size,
    )


def _resolved(probe: LabeledComponent, data: DataSettings) -> ProbeComponent:
    target = _build(probe).transfer_target
    stream = Stream.parse(target, data) if target else None
    return ProbeComponent(name=probe.name, settings=probe.settings, label=probe.label, stream=stream)


@dataclass(frozen=True)
class EvaluationPlan:
    """How the checkpoints of a stream are evaluated."""

    stream: Stream
    probes: list[LabeledComponent]
    data: DataSettings
    _specs: dict[int, ProbeSpec] = field(default_factory=dict, compare=False)

    def check(self) -> None:
        """Raise `SettingsError` for a probe that makes no sense on the stream."""
        for probe in self.probes:
            if (reason := _build(probe).incompatibility(self.stream)) is not None:
                raise SettingsError(f"probe {probe.label} does not suit {self.stream.name}: {reason}")

    def others(self) -> list[Stream]:
        """Return other streams that probes evaluate on."""
        return self._spec(0).streams[1:]

    def of_checkpoint(self, at: TaskFolder, seed: int) -> ProbeJob:
        """Return the evaluation of a checkpoint."""
        return ProbeJob(at=at, backbone=at.backbone, spec=self._spec(seed))

    def of_random_network(self, backbone: LabeledComponent, seed: int) -> ProbeJob | None:
        """Return the evaluation of an untrained network by the probes that need no training, or None."""
        probes = [probe for probe in self.probes if not _build(probe).needs_training]
        if not probes:
            return None
        spec = probe_spec(probes, self.stream, seed, self.data, backbone.component)
        return ProbeJob(at=None, backbone=backbone.label, spec=spec)

    def _spec(self, seed: int) -> ProbeSpec:
        if seed not in self._specs:  # every checkpoint of a seed has the same one
            self._specs[seed] = probe_spec(self.probes, self.stream, seed, self.data)
        return self._specs[seed]


def _build(probe: LabeledComponent) -> Probe:
    return registry.get(probe.name)(**probe.settings)


def spec_of_options(
    data: DataSettings,
    checkpoint: Path | None,
    stream: str | None,
    dataset: str | None,
    probes: str,
    backbone: str | None,
    stem_padding: int | None,
    image_size: int | None,
) -> ProbeSpec:
    """Return the specification of an evaluation from options of `cassle probe`.

    By default, the stream is the one that the checkpoint was trained on. A file of other software needs ``backbone``
    and a stream: by name, or all of a dataset. ``data``: settings per dataset. ``probes``: names with commas, or a YAML
    list of choices. Raises `SettingsError` for options that are missing or contradict each other.
    """
    name = stream or (f"{dataset}-all" if dataset else None)
    components = [probe_component(choice) for choice in _choices(probes)]
    if backbone is None:
        if stem_padding is not None or image_size is not None:
            raise SettingsError("--stem_padding and --image_size describe a --backbone; name it, such as resnet18")
        if checkpoint is None:
            raise SettingsError("give --checkpoint FILE, or --spec for the random network")
        try:
            made = load_checkpoint(checkpoint).provenance.spec
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}. If other software wrote it, describe its network: --backbone resnet18 --dataset NAME"
            ) from error
        known = {**data, made.stream.dataset: made.stream.data}
        return _checked(components, Stream.parse(name, known) if name else made.stream, made.seed, data)
    if name is None:
        raise SettingsError("give --dataset or --stream: a file of other software does not say what to evaluate it on")
    kind = backbones.get(backbone)
    padding = {} if stem_padding is None else {"stem_padding": stem_padding}
    settings = parse(kind.Settings, padding, f"backbone {backbone}").model_dump(mode="json")
    if image_size is not None and image_size < 1:
        raise SettingsError(f"--image_size {image_size}: the side of an image is a number of pixels above 0")
    network = Component(name=backbone, settings=settings)
    return _checked(components, Stream.parse(name, data), 0, data, network, image_size)


def _checked(
    components: list[LabeledComponent],
    stream: Stream,
    seed: int,
    data: DataSettings,
    backbone: Component | None = None,
    image_size: int | None = None,
) -> ProbeSpec:
    EvaluationPlan(stream, components, data).check()
    return probe_spec(components, stream, seed, data, backbone, image_size)


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
