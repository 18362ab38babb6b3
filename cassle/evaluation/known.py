"""Accuracies that are known already: of the same probe on the same checkpoint, in a file of other probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cassle.errors import DataError
from cassle.files import read_json

PER_PROBE = ("accuracies", "task_aware", "own_tasks", "identity")
"""Keys of a file of accuracies that hold an entry per probe."""


def known_probes(files: Iterable[Path], wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return label -> key -> entry of the wanted probes that files of accuracies hold, and print where each was.

    Beside those of a file, ``precision`` is an entry: that in which the probe saw its images.
    ``wanted``: label -> identity; an entry of another identity was found under other conditions and is not taken. A
    file that is gone holds nothing. Raises `DataError` for a file of something else.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in filter(Path.is_file, files):
        held = read_json(file)
        if not isinstance(held, dict) or "accuracies" not in held:
            raise DataError(f"{file} holds no accuracies; give files that `cassle probe` wrote")
        for label, identity in held.get("identity", {}).items():
            if label not in found and wanted.get(label) == identity:
                found[label] = {key: held[key][label] for key in PER_PROBE if label in held[key]}
                found[label]["precision"] = held["execution"]["precision"][label]
                print(f"{label}: as in {file}")
    return found
