"""What a tracker has shown already, one small file per training."""

from __future__ import annotations

from pathlib import Path

from cassle.contracts.records import Record, read_record_if_present, write_record
from cassle.core.files import fingerprint
from cassle.monitor.tracking.lines import Tracked


class Shown(Record):
    """``checkpoint`` whose curve was shown and ``accuracies`` (a fingerprint) that were, both completely.

    ``generation`` counts trainings of one folder: one that was trained anew is shown beside the old one. ``places`` are
    folders that hold complete data.
    """

    generation: int
    checkpoint: str | None = None
    accuracies: str | None = None
    places: tuple[str, ...] = ()


class Ledger:
    """The entries of one tracker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, training: Tracked) -> Shown:
        """Return what was shown of this training; of a folder that was trained anew, nothing yet."""
        file = self.folder / f"{training.name}.json"
        shown = read_record_if_present(Shown, file) or Shown(generation=0)
        made = training.record.checkpoint if training.record else None
        if shown.checkpoint is not None and made != shown.checkpoint:
            return Shown(generation=shown.generation + 1, places=shown.places)
        return shown

    def is_complete(self, training: Tracked) -> bool:
        """Return whether nothing of a complete training is left to show."""
        return training.complete and self.entry(training).accuracies == _accuracies(training)

    def finish(self, training: Tracked, place: str | None = None) -> None:
        """Note that everything of a complete training was shown, in a folder of its own if ``place`` names one."""
        assert training.record is not None
        held = self.entry(training)
        places = held.places if place is None else (*held.places, place)
        done = Shown(
            generation=held.generation,
            checkpoint=training.record.checkpoint,
            accuracies=_accuracies(training),
            places=places,
        )
        write_record(self.folder / f"{training.name}.json", done)


def _accuracies(training: Tracked) -> str:
    return fingerprint(training.accuracies)
