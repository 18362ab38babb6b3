"""TensorBoard: one folder of event files per training, written anew by every follower."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cassle.contracts.layout import TaskFolder
from cassle.monitor.tracking.lines import Tracked, TrackingError


class TensorBoardTracker:
    """Shows trainings as event files under ``folder``, in folders named like those of the results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer_class = _imported_writer()
        self.writers: dict[str, Any] = {}
        self.written: dict[str, int] = {}
        self.evaluated: dict[str, int] = {}

    def show(self, training: Tracked) -> None:
        """Write the epochs and accuracies that are new."""
        folder = training.folder
        if folder not in self.writers or self.written[folder] > len(training.lines):  # resumed at an earlier epoch
            self._begin(folder)
        writer = self.writers[folder]
        for line in training.lines[self.written[folder] :]:
            for key, value in line.model_dump(exclude={"epoch"}).items():
                writer.add_scalar(f"train/{key}", value, line.epoch)
        if len(training.accuracies) > self.evaluated[folder]:
            for name, value in training.summary().items():
                writer.add_scalar(f"accuracy/{name}", value, len(training.lines))
        self.written[folder], self.evaluated[folder] = len(training.lines), len(training.accuracies)
        writer.flush()

    def show_tables(self, study: Path) -> None:
        """TensorBoard shows curves only."""

    def close(self) -> None:
        """Close all files."""
        for writer in self.writers.values():
            writer.close()

    def _begin(self, folder: str) -> None:
        at = TaskFolder.parse(folder)
        place = self.folder / at.run / f"task{at.task}"
        if folder in self.writers:
            self.writers.pop(folder).close()
        shutil.rmtree(place, ignore_errors=True)
        self.writers[folder] = self.writer_class(str(place))
        self.written[folder] = self.evaluated[folder] = 0


def _imported_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrackingError(
            "tensorboard is not installed: `uv pip install 'cassle-workflow[tensorboard]'` or set tensorboard: false; "
            "trainings are not concerned"
        ) from error
    return SummaryWriter
