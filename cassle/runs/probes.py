"""Probes of a study, and everything that determines an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cassle.data.streams import Stream
from cassle.errors import SettingsError
from cassle.evaluation.base import Probe
from cassle.evaluation.base import probes as registry
from cassle.options import parse
from cassle.paths import RANDOM
from cassle.runs.jobs import ProbeJob
from cassle.runs.labels import label_of, shown_name
from cassle.runs.parts import DataSettings, Part, named
from cassle.settings.study import Choice


def probe_part(choice: Choice) -> Part:
    """Return a probe by name and changed settings; `SettingsError` for a name or setting it does not have."""
    name, options = named(choice)
    kind = registry.get(name)
    settings = parse(kind.Settings, options, f"probe {name}").model_dump(mode="json")
    changes = kind(**settings).changes()
    return Part(label_of(name, changes), name, settings, shown_name(name, changes, options))


def probe_spec(probes: list[Part], stream: Stream, seed: int, data: DataSettings) -> dict[str, Any]:
    """Return everything that determines an evaluation of a given checkpoint; ``data``: settings per data set.

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
    data: DataSettings

    def check(self) -> None:
        """Raise `SettingsError` for a probe that makes no sense on the stream."""
        for probe in self.probes:
            if (reason := _build(probe).misfit(self.stream)) is not None:
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
