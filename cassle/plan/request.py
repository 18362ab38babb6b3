"""From what a user gave on the command line to a plan, and what stands in its way."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cassle.core.errors import SettingsError
from cassle.core.files import canonical_json, read_json
from cassle.core.options import differences, merged
from cassle.plan import Plan, resolve, together
from cassle.settings.reading import (
    WORDS,
    name_of,
    read_studies,
    read_study,
    read_yaml,
    refuse_both,
    replaced,
    spelled_out,
)
from cassle.training.build import training_code

SHOWN = 5
"""Finished runs a message names one by one."""


def plan_study(words: Mapping[str, Any], configfiles: Sequence[str | Path], default: Path) -> Plan:
    """Return the plan of what the user asked for: files of a study, and words of the command line.

    A study may list files of studies to do together, relative to the folder of its own file. Raises `SettingsError` for
    impossible settings, and for a plan that would overwrite finished work without ``overwrite=true``.
    """
    study = read_study(*_asked_for(words, configfiles, default))
    folder = Path(configfiles[-1]).parent if configfiles else Path()
    plans = [resolve(one) for one in read_studies(study, folder)]
    plan = together(study, plans) if study.studies else plans[0]
    if not plan.study.overwrite:
        refuse_overwriting(plan)
    return plan


def _asked_for(
    words: Mapping[str, Any], configfiles: Sequence[str | Path], default: Path
) -> tuple[dict[str, Any], str]:
    """Return the values of a study and where they are from: of files, later ones over earlier ones, and words over all.

    Files stand for themselves, and so do words that name streams and objectives; anything less changes the default
    study, which takes its name from words of one experiment. Without a name in them, such words name others, too.
    """
    refuse_both(words, "--config")
    asked = spelled_out(words)
    where = ", ".join([*map(str, configfiles), *(["--config"] if words else [])])
    complete = {"grids", "studies"} & set(asked) or {"streams", "objectives"} <= set(asked)
    if not configfiles and not complete:
        usual = spelled_out(read_yaml(default))
        if set(words) & set(WORDS):
            usual["name"] = name_of(asked)
        return replaced(usual, asked), f"{default}, {where}".removesuffix(", ")
    files = [read_yaml(file) for file in configfiles]
    given: dict[str, Any] = {}
    for path, file in zip(configfiles, files, strict=True):
        refuse_both(file, str(path))
        given = merged(given, spelled_out(file))
    given = replaced(given, asked)
    single = any(set(one) & set(WORDS) for one in [*files, words])
    if "name" not in given and (single or not files) and (name := name_of(given)):
        given["name"] = name
    return given, where


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
    return (
        f"kept although the training code has changed since: {_tasks(len(found))}, such as {found[0]}; delete their "
        "folders to train them anew"
    )


def other_tables(plan: Plan, root: Path = Path()) -> str | None:
    """Return a notice of what tables of the plan's studies show and, once it has run, will not show any more, or None.

    Two studies with one name have one folder of tables, and so has one study with changing words beside it.
    """
    told = []
    for part in plan.parts():
        file = root / part.folder / "study.json"
        if file.is_file():
            shown, now = read_json(file), part.summary()
            for key in (*part.cells, "seeds"):
                if key != "rows" and (gone := [f"{one}" for one in shown.get(key, []) if one not in now[key]]):
                    told.append(f"{key} {', '.join(gone)} of {part.study.name}")
    if not told:
        return None
    return f"tables will not show any more: {'; '.join(told)}. --config name=... gives this plan a folder of its own"


def _tasks(number: int) -> str:
    return "1 finished task" if number == 1 else f"{number} finished tasks"


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
            f"this plan would train {_tasks(len(clashes))} again ({hours:.2g} hours of training) because settings "
            "changed:\n" + "\n".join(clashes[:SHOWN]) + more + "\nAllow it with --config overwrite=true, or give "
            "the changed settings in the study (they then get folders of their own)"
        )
