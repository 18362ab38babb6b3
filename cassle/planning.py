"""From what a user gave on the command line to a plan, and what stands in its way."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cassle.errors import SettingsError
from cassle.files import canonical_json, read_json
from cassle.options import differences
from cassle.runs import Plan, resolve, together
from cassle.settings.reading import WORDS, read_studies, read_study, read_yaml
from cassle.training.build import training_code

SHOWN = 5
"""Finished runs a message names one by one."""


def plan_study(config: Mapping[str, Any], configfiles: Sequence[str | Path], default: Path) -> Plan:
    """Return the plan of what the user asked for.

    A study file stands for itself, and so do words that name a stream and an objective; anything less changes the
    default study, which then takes its name from the words. A study may list files of studies to do together, relative
    to the folder of its own file. Raises `SettingsError` for impossible settings, and for a
    plan that would overwrite finished work without ``overwrite=true``.
    """
    given = dict(config)
    where = ", ".join(map(str, configfiles)) or "--config"
    complete = {"grids", "studies"} & set(given) or (
        {"stream", "streams"} & set(given) and {"objective", "objectives"} & set(given)
    )
    if not configfiles and not complete:
        usual = read_yaml(default)
        if set(given) & set(WORDS):
            del usual["name"]
        given = {**usual, **given}
        where = str(default)
    folder = Path(configfiles[-1]).parent if configfiles else Path()
    study = read_study(given, where)
    plans = [resolve(one) for one in read_studies(study, folder)]
    plan = together(study, plans) if study.studies else plans[0]
    if not plan.study.overwrite:
        refuse_overwriting(plan)
    return plan


def words_of(config: Mapping[str, Any], configfiles: Sequence[str | Path]) -> str:
    """Return the words of a command line, quoted for a shell, that lead another Snakemake to the same plan."""
    files = [str(file) for file in configfiles]
    settings = [f"{key}={canonical_json(value)}" for key, value in config.items()]
    return shlex.join([*(["--configfile", *files] if files else []), *(["--config", *settings] if settings else [])])


def other_code(plan: Plan, root: Path = Path()) -> str | None:
    """Return a notice of finished trainings that were made by other training code than today's, or None.

    They are kept: a change of code retrains nothing by itself.
    """
    found = []
    for job in plan.train.values():
        record = root / job.folder / "train.json"
        if record.is_file() and read_json(record)["code"] != training_code(job.spec):
            found.append(job.folder)
    if not found:
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"kept although the training code has changed since: {found[0]}{more}; delete their folders to train them anew"
    )


def refuse_overwriting(plan: Plan, root: Path = Path()) -> None:
    """Raise `SettingsError` if finished trainings were made with other settings than the plan's, and name both."""
    clashes = []
    hours = 0.0
    for job in plan.train.values():
        record = root / job.folder / "train.json"
        if record.is_file():
            made = read_json(record)
            if made["spec"] != job.spec:
                changes = differences(made["spec"], job.spec)
                clashes.append(
                    f"  {job.folder}: {', '.join(f'{key} is now {value}' for key, value in changes.items())}"
                )
                hours += made["seconds"] / 3600
    if clashes:
        more = f"\n  and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        raise SettingsError(
            f"this plan would train {len(clashes)} finished tasks again ({hours:.2g} hours of training) because their "
            "settings changed:\n"
            + "\n".join(clashes[:SHOWN])
            + more
            + "\nAllow it with --config overwrite=true, or give "
            "the changed settings in the study (they then get folders of their own)"
        )
