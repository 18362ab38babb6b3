"""Components of a run: from a choice in a study to a name, complete settings and a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassle.contracts.specs import Component, Settings
from cassle.core.errors import SettingsError
from cassle.core.options import Options, differences, parse
from cassle.data.base import datasets
from cassle.data.streams import Stream
from cassle.nets.base import backbones
from cassle.plan.labels import label_of, shown_name
from cassle.plan.presets import backbone_preset, data_preset
from cassle.settings.study import Choice, Study

DataSettings = Mapping[str, Mapping[str, Any]]
"""Name of a dataset -> its settings, those of the preset among them."""


@dataclass(frozen=True)
class LabeledComponent:
    """A backbone, objective, strategy or probe of a run: folder name, registered name, complete settings."""

    label: str
    name: str
    settings: Settings
    shown: str | None
    """Name in tables; None: its label."""

    @property
    def component(self) -> Component:
        """The component as a specification has it."""
        return Component(name=self.name, settings=self.settings)


def named(choice: Choice) -> tuple[str, dict[str, Any]]:
    """Return the name and the changed settings of a choice, which may be a name alone."""
    if isinstance(choice, str):
        return choice, {}
    if "name" not in choice:
        raise SettingsError(f"{choice} needs a 'name'")
    return str(choice["name"]), {key: value for key, value in choice.items() if key != "name"}


def stream_of(choice: Choice, data: DataSettings) -> Stream:
    """Return a stream that strategies can act on; `SettingsError` for any other."""
    name, options = named(choice)
    if "data" in options:
        raise SettingsError(f"stream {name}: settings of a dataset belong into the study, as data: {{name: {{...}}}}")
    stream = Stream.parse(name, data, **options)
    if stream.scenario == "all":
        raise SettingsError(
            f"{name} has one task, so no strategy can act: give the stream to evaluate on, and offline: true to train "
            "on everything at once"
        )
    return stream


def backbone_component(choice: Choice, study: Study, image_size: int) -> LabeledComponent:
    """Return a backbone for images of a side, in pixels; its label names the settings that are not the default ones."""
    name, options = named(choice)
    kind: type[Options] = backbones.get(name).Settings
    preset = backbone_preset(study.preset, backbones.get(name), image_size)
    usual, as_preset = (kind(**given).model_dump(mode="json") for given in ({}, preset))
    settings = parse(kind, {**preset, **options}, f"backbone {name}").model_dump(mode="json")
    shown = shown_name(name, differences(as_preset, settings), options)
    return LabeledComponent(label_of(name, differences(usual, settings)), name, settings, shown)


def shown_stream(stream: Stream, study: Study) -> str | None:
    """Return the name of a stream in tables; None: its label."""
    preset = data_preset(study.preset, {}).get(stream.dataset, {})
    data = datasets.get(stream.dataset)(**preset).determining()
    own = stream.model_dump(mode="json", include={"class_order", "domain_order", "data"})
    usual = {"class_order": "paper", "domain_order": "paper", "data": {key: data.get(key) for key in stream.data}}
    return shown_name(stream.name.partition("~")[0], differences(usual, own), {})
