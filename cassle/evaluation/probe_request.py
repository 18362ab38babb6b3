"""What an evaluation is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cassle.contracts.specs import ProbeSpec
from cassle.settings.site import Site


@dataclass(frozen=True)
class ProbeRequest:
    """What an evaluation is given.

    ``checkpoint``: the file to evaluate, absent for the random network of the backbone and seed of ``spec``; ``index``,
    ``split``: a file for each of the streams of ``spec``, in their order; ``out``: the file of accuracies to write;
    ``reuse``: files of accuracies, of which those of the same identity are copied.
    """

    spec: ProbeSpec
    site: Site
    index: list[Path]
    split: list[Path]
    out: Path
    checkpoint: Path | None = None
    reuse: Sequence[Path] = ()
