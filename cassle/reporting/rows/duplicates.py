"""One probe of one checkpoint that several studies evaluated, each into a file of its own: which file counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cassle.contracts.records import ProbeRecord
from cassle.core.errors import DataError, SettingsError

Row = dict[str, Any]
ROUNDING = 0.01
"""Mean difference of accuracies up to which devices and precisions may have rounded differently."""
SHOWN = 5
"""Contradictions that a message names one by one."""


@dataclass
class EvaluatedFile:
    """A file of accuracies, and its rows of one probe of one run."""

    evaluated: ProbeRecord
    rows: list[Row]

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """Accuracy of every task, without and with the task known: (tasks, 2)."""
        return np.array([[row["accuracy"], row["task_aware"]] for row in self.rows], dtype=np.float64)


def settled(runs: Iterable[dict[Path, EvaluatedFile]]) -> list[Row]:
    """Return the rows that count of each probe of a run, given all files that have it.

    Files that say the same are one. Otherwise those made by today's code count before others, and of those that differ
    by no more than `ROUNDING` the first by name does; what is left out is printed. Anything else is a contradiction
    that nothing here can settle, such as a file that outlived a change of the data: `DataError` naming the files.
    """
    rows: list[Row] = []
    clashes: dict[str, None] = {}
    reported: dict[str, None] = {}
    for files in runs:
        kept = _today(files, reported) if _apart(files) else files
        first, *others = kept
        apart = _apart(kept)
        if apart > ROUNDING:
            probe = files[first].rows[0]["probe"]
            clashes[f"  {probe} in {' and in '.join(map(str, kept))}: {apart:.4f} apart"] = None
        elif apart:
            reported[f"left out: {', '.join(map(str, others))}, which differ by rounding from {first}"] = None
        rows += files[first].rows
    for line in reported:
        print(line)
    if clashes:
        more = f"\n  and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        raise DataError(
            "evaluations of the same network contradict each other, so all but one of them are out of date:\n"
            + "\n".join(list(clashes)[:SHOWN])
            + more
            + "\ndelete the older files (or all of these) and run the same command again"
        )
    return rows


def _apart(files: dict[Path, EvaluatedFile]) -> float:
    """Return the mean over tasks of how far a file's accuracies are from the first one's, the largest such mean."""
    first, *others = [found.accuracies for found in files.values()]
    if any(len(values) != len(first) for values in others):
        return 1.0
    return max((float(np.abs(values - first).mean()) for values in others), default=0.0)


def _today(files: dict[Path, EvaluatedFile], reported: dict[str, None]) -> dict[Path, EvaluatedFile]:
    """Return the files that today's code made, if there are any, or else all; those left out are printed."""
    current = {file: found for file, found in files.items() if found.evaluated.code == _code_of(found.evaluated)}
    for file in files if current else ():
        if file not in current:
            reported[f"left out: {file}, made by other code than today's, which made {next(iter(current))}"] = None
    return current or files


def _code_of(evaluated: ProbeRecord) -> str | None:
    """Return the fingerprint of today's code for an evaluation; None if it has a probe that is not known here."""
    from cassle.evaluation.base import probes
    from cassle.evaluation.code import code_of_probes

    try:
        return code_of_probes(probes.get(probe.name)(**probe.settings) for probe in evaluated.spec.probes)
    except SettingsError:
        return None
