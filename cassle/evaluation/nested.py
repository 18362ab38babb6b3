"""Probes that train another probe's classifier on other images or other labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from typing_extensions import TypeVar

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.evaluation.base import Probe, probes


def completed(choice: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return a probe's name with all its settings; `SettingsError` for one that trains nothing or is nested itself."""
    given: dict[str, Any] = {"name": choice} if isinstance(choice, str) else {**choice}
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise SettingsError(f"classifier {choice} needs a 'name', such as linear")
    made = probes.get(name)(**given)
    if made.needs_training or made.dependencies():
        raise SettingsError(f"classifier '{name}' cannot be trained on chosen images; take linear or linear_cached")
    return {"name": name, **made.settings.model_dump(mode="json")}


Classifier = Annotated[dict[str, Any], BeforeValidator(completed)]
"""A probe as a setting of another one: a name, or a mapping with `name` and settings that differ."""


class NestedSettings(Options):
    """Settings of a probe with a setting ``classifier``; a subclass gives its default and description."""

    classifier: Classifier


N = TypeVar("N", bound=NestedSettings, covariant=True, default=NestedSettings)


class Nested(Probe[N]):
    """A probe with a setting ``classifier``."""

    Settings: ClassVar[type[Options]] = NestedSettings

    @property
    def classifier(self) -> Probe:
        """The probe whose classifier is trained."""
        given = dict(self.settings.classifier)
        return probes.get(given.pop("name"))(**given)

    def changes(self) -> dict[str, Any]:
        """Return what differs; another classifier is named, with what differs from that one's own default settings."""
        usual = type(self)().settings.classifier["name"]
        name = self.settings.classifier["name"]
        own = {key: value for key, value in super().changes().items() if key.split(".")[0] != "classifier"}
        changed = {f"classifier.{key}": value for key, value in self.classifier.changes().items()}
        return own | changed | ({} if name == usual else {"classifier": name})

    def dependencies(self) -> list[type]:
        """Return the classifier's class."""
        return [type(self.classifier)]
