"""Names of variants: in paths by settings that differ from the recipe, in tables from recipe and preset."""

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
    """Return the directory name of a component: its name and the settings that differ (a hash beyond 40 characters).

    >>> label_of("simclr", {"temperature": 0.2, "epochs": 2})
    'simclr~epochs=2~temperature=0.2'

    It has no comma: Snakemake hands a job's wildcards to clusters as a list with commas.
    """
    if not changes:
        return name
    text = "~".join(f"{key}={canonical_json(value).strip(chr(34))}" for key, value in sorted(changes.items()))
    short = len(text) <= _LONGEST and _SAFE.fullmatch(text)
    return f"{name}~{text if short else fingerprint(dict(changes))[:10]}"


def shown_name(name: str, changes: Mapping[str, Any], explicit: Mapping[str, Any]) -> str | None:
    """Return the name of a component in tables, with the settings that differ in brackets; None if it is too long.

    ``changes``: dotted keys -> settings that differ from recipe and preset. ``explicit``: settings of the study. Of
    another distillation or optimizer than the usual one, only its name and explicit settings are shown.

    >>> shown_name("cassle", {"distillation.depth": 0, "weight": 2.0}, {})
    'cassle (depth=0, weight=2)'
    """
    others = [key.removesuffix("name") for key in changes if key.endswith(".name")]
    in_study = _dotted(explicit)
    shown = {
        key: value
        for key, value in changes.items()
        if key.endswith(".name") or key in in_study or not key.startswith(tuple(others))
    }
    last = Counter(_last(key) for key in shown)
    text = ", ".join(f"{_last(key) if last[_last(key)] == 1 else key}={_text(value)}" for key, value in shown.items())
    return name if not text else f"{name} ({text})" if len(text) <= _LONGEST_SHOWN else None


def _last(key: str) -> str:
    """Return the last name of a dotted key."""
    return key.removesuffix(".name").rpartition(".")[2]


def _dotted(values: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the dotted keys of the values in nested mappings."""
    found: set[str] = set()
    for key, value in values.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}"}
    return found


def _text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return canonical_json(int(value) if whole else value).strip('"')
