"""The names of variants: what part of a path differs from its usual settings, readable where it is short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cassle.files import canonical_json, fingerprint

_SAFE = re.compile(r"[A-Za-z0-9._=+~-]*")
_LONGEST = 40


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
