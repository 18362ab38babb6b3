"""What of a plan is done: with the settings it has there, and for what lies there now."""

from __future__ import annotations

from pathlib import Path

from cassle.files import read_json
from cassle.runs import ProbeJob, TrainJob


def trained(job: TrainJob, root: Path) -> bool:
    """Return whether a task was trained, with the settings it has in the plan."""
    record = root / job.folder / "train.json"
    return record.is_file() and bool(read_json(record)["spec"] == job.spec)


def evaluated(job: ProbeJob, training: TrainJob | None, root: Path) -> bool:
    """Return whether an evaluation was done: of the checkpoint that its training has left, by the probes of the plan.

    ``training``: that of the checkpoint; None for the random network.
    """
    file = root / job.file
    if not file.is_file() or not (training is None or trained(training, root)):
        return False
    made = read_json(file)
    checkpoint = None if training is None else read_json(root / training.folder / "train.json")["checkpoint"]
    return bool(made["spec"] == job.spec and made["checkpoint"] == checkpoint)
