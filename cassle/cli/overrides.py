"""Words of the form key=value that stand for settings, files and folders of a job."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from cassle.cli.execution import object_of
from cassle.core.errors import SettingsError

if TYPE_CHECKING:
    from cassle.plan import MemoryJob, Plan, TrainJob


def words_of(given: list[str]) -> dict[str, Any]:
    """Return words of the form key=value, values read as YAML; `SettingsError` for the first that is none."""
    import yaml

    if bad := [word for word in given if "=" not in word]:
        raise SettingsError(f"'{bad[0]}' is not of the form key=value, such as objective=simclr")
    return {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in given)}


def fill_in_training(args: argparse.Namespace) -> None:
    """Take from the one training job that words name what the command line did not give."""
    plan, task = _planned(args)
    jobs = [job for job in plan.train.values() if job.spec["task"] == task]
    if len(jobs) != 1:
        tasks = max(job.spec["task"] for job in plan.train.values())
        found = f"{len(jobs)} trainings of task {task}" if jobs else f"no task {task}, but tasks 0 to {tasks}"
        raise SettingsError(f"these words name {found}; name exactly one training")
    job = jobs[0]
    _take(args, job)
    args.folder = args.folder or job.folder
    args.memory = args.memory or job.memory or ""
    args.given = args.given or job.given or ""
    args.previous = args.previous or (f"{job.parent}/checkpoint.pt" if job.parent else None)


def fill_in_memory(args: argparse.Namespace) -> None:
    """Take from the one memory that words name what the command line did not give."""
    plan, task = _planned(args)
    jobs = [job for job in plan.memory.values() if job.spec["task"] == task]
    if len(jobs) != 1:
        raise SettingsError(
            f"these words name {len(jobs)} memories after task {task}; name exactly one strategy that keeps something, "
            "and not the last task"
        )
    job = jobs[0]
    _take(args, job)
    args.checkpoint = args.checkpoint or f"{job.checkpoint}/checkpoint.pt"
    args.memory = args.memory or job.previous or ""
    args.out = args.out or job.file


def _planned(args: argparse.Namespace) -> tuple[Plan, int]:
    """Return the plan of the study that words describe, and the task they name; take over where its jobs run."""
    from cassle.plan import resolve
    from cassle.settings.reading import read_study

    words = words_of(args.words)
    task = words.pop("task", 0)
    plan = resolve(read_study(words))
    args.site = json.dumps({**plan.study.site().model_dump(mode="json"), **object_of(args, "site")})
    return plan, task


def _take(args: argparse.Namespace, job: TrainJob | MemoryJob) -> None:
    """Take settings, index and split of a job where the command line did not give them."""
    from cassle.contracts.layout import index_file, split_file
    from cassle.data.streams import Stream

    args.spec = args.spec or job.key
    args.index = args.index or index_file(Stream(**job.spec["stream"]).index)
    args.split = args.split or split_file(job.folder.split("/")[1])
