"""The code that an evaluation depends on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cassle.core.provenance import class_file, code_fingerprint
from cassle.evaluation.base import Probe

JOB = Path(__file__).with_name("probe_checkpoint.py")
"""What every evaluation runs; named, not imported, since comparing code needs no network."""


def code_of_probes(made: Iterable[Probe]) -> str:
    """Return the fingerprint of the code that an evaluation depends on, its probes and plugins included."""
    kinds = {kind for probe in made for kind in (type(probe), *probe.dependencies())}
    return code_fingerprint([JOB, *map(class_file, kinds)])
