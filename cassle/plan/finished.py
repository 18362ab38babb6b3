"""Finished work and a plan: trainings to overwrite, results of other code, tables that would change."""

from __future__ import annotations

from pathlib import Path

from cassle.contracts.records import TrainRecord, read_record_if_present
from cassle.contracts.summary import StudyRecord
from cassle.core.errors import SettingsError
from cassle.core.options import differences
from cassle.plan.plan import Plan
from cassle.training.build import training_code

SHOWN = 5
"""Finished runs that a message names one by one."""


def refuse_overwriting(plan: Plan, root: Path = Path()) -> None:
    """Raise `SettingsError` if finished trainings were made with other settings than the plan's, and name both."""
    clashes = []
    hours = 0.0
    for job in plan.train.values():
        made = read_record_if_present(TrainRecord, root / job.at.record)
        if made is not None and made.spec != job.spec:
            changes = differences(made.spec.model_dump(mode="json"), job.spec.model_dump(mode="json"))
            clashes.append(f"  {job.folder}: {', '.join(f'{key} is now {value}' for key, value in changes.items())}")
            hours += made.seconds / 3600
    if clashes:
        more = f"\n  and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        raise SettingsError(
            f"this plan would train {_tasks(len(clashes))} again ({hours:.2g} hours of training) because settings "
            "changed:\n" + "\n".join(clashes[:SHOWN]) + more + "\nAllow it with --config overwrite=true, or give "
            "the changed settings in the study (they then get folders of their own)"
        )


def other_code(plan: Plan, root: Path = Path()) -> str | None:
    """Return a warning of finished trainings that were made by other training code than today's, or None.

    They are kept: a change of code retrains nothing by itself.
    """
    found = []
    for job in plan.train.values():
        made = read_record_if_present(TrainRecord, root / job.at.record)
        if made is not None and made.code != training_code(job.spec):
            found.append(job.folder)
    if not found:
        return None
    return (
        f"kept although the training code has changed since: {_tasks(len(found))}, such as {found[0]}; delete their "
        "folders to train them anew"
    )


def other_tables(plan: Plan, root: Path = Path()) -> str | None:
    """Return a warning of rows and columns that the plan removes from existing tables, or None.

    Two studies with one name have one directory of tables, and so has one study with changing overrides.
    """
    lost = []
    for part in plan.parts():
        shown = read_record_if_present(StudyRecord, root / part.folder.study)
        if shown is None:
            continue
        now = part.summary()
        for key in ("streams", "backbones", "objectives", "strategies", "probes", "seeds"):
            if gone := [f"{one}" for one in getattr(shown, key) if one not in getattr(now, key)]:
                lost.append(f"{key} {', '.join(gone)} of {part.study.name}")
    if not lost:
        return None
    return f"tables will not show any more: {'; '.join(lost)}. --config name=... gives this plan a folder of its own"


def _tasks(number: int) -> str:
    return "1 finished task" if number == 1 else f"{number} finished tasks"
