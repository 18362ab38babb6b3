"""What a tracker shows of a training, read from the files that the training and its evaluations write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cassle.contracts.layout import ProbeFile, TaskFolder
from cassle.contracts.records import EpochRecord, ProbeRecord, TrainRecord, read_lines, read_record_if_present
from cassle.core.errors import CassleError
from cassle.core.files import fingerprint


class TrackingError(CassleError):
    """A tracker cannot be reached or written; results are not concerned."""


@dataclass(frozen=True)
class Tracked:
    """A training as trackers see it.

    ``folder`` under the results' parent; ``lines`` of metrics.jsonl, one per epoch; ``record`` is train.json, None
    while it trains; ``accuracies``: "<stream>/<probe>" -> fraction per task; ``complete``: trained and fully evaluated.
    """

    folder: str
    lines: list[EpochRecord]
    record: TrainRecord | None
    accuracies: dict[str, list[float]]
    complete: bool

    @property
    def run(self) -> str:
        """The run it belongs to: what all its tasks have in common."""
        return TaskFolder.parse(self.folder).run

    @property
    def task(self) -> str:
        """Its place in the run, such as ``task3``."""
        return f"task{TaskFolder.parse(self.folder).task}"

    @property
    def name(self) -> str:
        """Sixteen digits that name the folder."""
        return fingerprint(self.folder)

    def summary(self) -> dict[str, float]:
        """Return every accuracy by name, and their mean over tasks."""
        values: dict[str, float] = {}
        for name, found in self.accuracies.items():
            values |= {f"{name}/task{task}": accuracy for task, accuracy in enumerate(found)}
            values[f"{name}/mean"] = sum(found) / len(found)
        return values


class Tracker(Protocol):
    """Shows trainings somewhere; showing one again, or after a crash, repeats nothing."""

    def show(self, training: Tracked) -> None:
        """Show what is new of a training."""

    def show_tables(self, study: Path) -> None:
        """Show the tables and figures of a study's folder, if they have changed."""

    def close(self) -> None:
        """End cleanly, whatever is still training."""


def trackable(root: Path, folders: Sequence[str], probes: Sequence[str]) -> Iterator[Tracked]:
    """Yield the trainings of a plan that have begun; ``folders`` and ``probes`` are its files under ``root``."""
    planned: dict[str, list[str]] = {}
    for file in probes:
        planned.setdefault(str(ProbeFile.parse(file).folder), []).append(file)
    for folder in folders:
        if (training := _read(root, folder, planned.get(folder, []))) is not None:
            yield training


def _read(root: Path, folder: str, probes: Sequence[str]) -> Tracked | None:
    at = TaskFolder.parse(folder)
    if not (root / at.metrics).is_file():
        return None
    lines = read_lines(EpochRecord, root / at.metrics)
    found = [probe for file in probes if (probe := read_record_if_present(ProbeRecord, root / file)) is not None]
    accuracies = {f"{probe.stream}/{name}": row for probe in found for name, row in probe.accuracies.items()}
    made = read_record_if_present(TrainRecord, root / at.record)
    return Tracked(folder, lines, made, accuracies, made is not None and len(found) == len(probes))
