"""The speed of this machine, from finished trainings or from a measured step."""

from __future__ import annotations

from pathlib import Path

from cassle.core.errors import CassleError, SettingsError
from cassle.core.files import read_json
from cassle.cost.estimate import cost_of_training, trained
from cassle.plan import Plan


def measured_rate(plan: Plan, root: Path = Path()) -> float | None:
    """Return the operations per second of the plan's finished trainings; None without one."""
    flops = seconds = 0.0
    for job in plan.train.values():
        if job.first_checkpoint is None and (record := trained(job, root)) is not None:
            flops += cost_of_training(job, root).flops
            seconds += record.seconds
    return flops / seconds if seconds else None


def benched_rate(file: Path) -> float:
    """Return the operations per second of the step in a file of ``cassle bench step``, views included.

    Raises `SettingsError` for a file without such a step.
    """
    try:
        measured = read_json(file)
        row = next(row for row in measured["rows"] if measured["bench"] == "step" and row["name"] == "step")
        return float(row["TFLOP/s"]) * 1e12
    except (CassleError, KeyError, TypeError, StopIteration):
        raise SettingsError(f"{file} holds no measured step; `cassle bench step --out {file}` writes one") from None
