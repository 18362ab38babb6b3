"""The names of variants: in paths what differs from the recipe, in tables what differs from recipe and preset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cassle.core.files import canonical_json, fingerprint

_SAFE = re.compile(r"[A-Za-z0-9._=+~-]*")
_LONGEST = 40
_LONGEST_SHOWN = 80


def label_of(name: str, changes: Mapping[str, Any]) -> str:
    """Return the folder name of a part: its name, and the settings that differ (a hash beyond 40 characters).

    >>> label_of("simclr", {"temperature": 0.2, "epochs": 2})
    'simclr~epochs=2~temperature=0.2'

    No comma is in it: Snakemake hands a job's wildcards to clusters as a list with commas.
    """
    if not changes:
        return name
    text = "~".join(f"{key}={canonical_json(value).strip(chr(34))}" for key, value in sorted(changes.items()))
    short = len(text) <= _LONGEST and _SAFE.fullmatch(text)
    return f"{name}~{text if short else fingerprint(dict(changes))[:10]}"


def shown_name(name: str, changes: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
    """Return what tables call a part: its name, and in brackets the settings that differ; None where that is too long.

    ``changes``: dotted keys -> values in which the settings are not those of recipe and preset. ``said``: what the
    study says of the part. Of a thing that is another one (a distillation, an optimizer) only its name and what is said
    of it are shown, not the other settings that differ with it.

    >>> shown_name("cassle", {"distillation.depth": 0, "weight": 2.0}, {})
    'cassle (depth=0, weight=2)'
    """
    others = [key.removesuffix("name") for key in changes if key.endswith(".name")]
    spoken = _dotted(said)
    shown = {
        key: value
        for key, value in changes.items()
        if key.endswith(".name") or key in spoken or not key.startswith(tuple(others))
    }
    last = Counter(_last(key) for key in shown)
    text = ", ".join(f"{_last(key) if last[_last(key)] == 1 else key}={_spoken(value)}" for key, value in shown.items())
    return name if not text else f"{name} ({text})" if len(text) <= _LONGEST_SHOWN else None


def _last(key: str) -> str:
    """Return the part of a dotted key that says enough."""
    return key.removesuffix(".name").rpartition(".")[2]


def _dotted(said: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the dotted keys of the values in nested mappings."""
    found: set[str] = set()
    for key, value in said.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}"}
    return found


def _spoken(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return canonical_json(int(value) if whole else value).strip('"')
