"""What a tracker has shown already, one small file per training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cassle.core.files import fingerprint, read_json, write_json
from cassle.monitor.tracking.lines import Tracked


@dataclass(frozen=True)
class Shown:
    """``checkpoint`` whose curve was shown and ``accuracies`` (a fingerprint) that were, both completely.

    ``generation`` counts trainings of one folder: one that was trained anew is shown beside the old one. ``places`` are
    folders that hold complete data.
    """

    generation: int = 0
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
        held = read_json(file) if file.is_file() else {}
        shown = Shown(**{**held, "places": tuple(held.get("places", ()))})
        made = training.record["checkpoint"] if training.record else None
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
        done = replace(held, checkpoint=training.record["checkpoint"], accuracies=_accuracies(training), places=places)
        write_json(self.folder / f"{training.name}.json", asdict(done))


def _accuracies(training: Tracked) -> str:
    return fingerprint(training.accuracies)
