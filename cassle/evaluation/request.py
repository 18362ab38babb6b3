"""What an evaluation is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cassle.settings.site import Site


@dataclass(frozen=True)
class ProbeRequest:
    """What an evaluation is given.

    ``spec``: `ProbeJob.spec`; ``checkpoint``: the file to evaluate, absent for the random network of ``spec``'s
    backbone and seed; ``index``, ``split``: a file for each of `streams_of` the spec, in that order; ``out``: the file
    of accuracies to write; ``known``: files of accuracies, from which those of the same identity are taken over.
    """

    spec: dict[str, Any]
    site: Site
    index: list[Path]
    split: list[Path]
    out: Path
    checkpoint: Path | None = None
    known: Sequence[Path] = ()
