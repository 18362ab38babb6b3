"""The name of a study that words describe, so that other words make another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cassle.files import fingerprint
from cassle.settings.study import LONGEST_STUDY, Grid

TOLD = (*Grid.model_fields, "first_checkpoint", "grids")
"""The keys of a study that determine its runs, in the order of a name."""
CHOICES = ("streams", "backbones", "objectives", "strategies", "probes")
"""Lists whose values say by themselves what they are."""


def name_of(values: Mapping[str, Any]) -> str:
    """Return what determines the runs of a study as a name for it; empty if nothing does.

    What cannot stand in a name, or makes it too long, is left out, and ten digits behind it tell it from others.

    >>> name_of({"streams": ["digits-class5"], "strategies": ["finetune", "cassle"], "seeds": [1], "offline": True})
    'digits-class5-finetune-cassle-seed1-offline=true'
    """
    text = "-".join(part for key in TOLD if key in values for part in _parts(key, values[key]))
    name = re.sub(r"[^A-Za-z0-9._+=]+", "-", text).strip("-._+=")
    if name == text and len(name) <= LONGEST_STUDY:
        return name
    return f"{name[: LONGEST_STUDY - 11]}-{fingerprint(ascii(text))[:10]}".lstrip("-")


def _parts(key: str, value: Any) -> Iterator[str]:
    """Yield what a key of a study adds to its name."""
    if key == "seeds" and isinstance(value, list):
        yield from (f"seed{seed}" for seed in value)
    elif key in CHOICES and isinstance(value, list):
        for choice in value:
            options = choice if isinstance(choice, Mapping) else {"name": choice}
            yield f"{options.get('name')}"
            yield from _settings({key: value for key, value in options.items() if key != "name"})
    else:
        yield from _settings({key: value})


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield values of groups as text, keys of groups inside groups joined by dots."""
    for key, value in sorted(values.items(), key=str):
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={str(value).lower() if isinstance(value, bool) else value}"
