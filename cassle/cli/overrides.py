"""From a command line to the one job it names: an entry of a plan file, or overrides of the form key=value."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassle.cli.execution import object_of
from cassle.contracts.layout import TaskFolder
from cassle.core.errors import SettingsError

if TYPE_CHECKING:
    from cassle.contracts.jobs import MemoryJob, TrainJob
    from cassle.contracts.specs import Spec
    from cassle.plan import Plan
    from cassle.settings.site import Site


def overrides_of(given: list[str]) -> dict[str, Any]:
    """Return overrides of the form key=value, values read as YAML; `SettingsError` for any other argument."""
    import yaml

    found = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"'{text}' is not of the form key=value, such as objective=simclr")
        try:
            found[key] = yaml.safe_load(value)
        except (yaml.YAMLError, RecursionError) as error:
            raise SettingsError(f"'{text}' is not YAML: {error}") from error
    return found


def planned_training(args: argparse.Namespace) -> tuple[TrainJob, Site]:
    """Return the one training that the command line names, and how it is executed."""
    if args.plan and args.folder:
        from cassle.contracts.plan_file import JobPlan

        plan = JobPlan(Path(args.plan))
        job = plan.train_job(str(TaskFolder.parse(args.folder)))
        check_digest(args, job.spec)
        return job, plan.site
    _need_overrides(args, "--plan and --folder")
    study, task, site = _resolved(args)
    jobs = [job for job in study.train.values() if job.spec.task == task]
    if len(jobs) != 1:
        tasks = max(job.spec.task for job in study.train.values())
        found = f"{len(jobs)} trainings of task {task}" if jobs else f"no task {task}, but tasks 0 to {tasks}"
        raise SettingsError(f"these overrides name {found}; name exactly one training")
    return jobs[0], site


def planned_memory(args: argparse.Namespace) -> tuple[MemoryJob, Site]:
    """Return the one memory that the command line names, and how the job is executed."""
    if args.plan and args.out:
        from cassle.contracts.plan_file import JobPlan

        plan = JobPlan(Path(args.plan))
        job = plan.memory_job(str(TaskFolder.parse(Path(args.out).parent)))
        check_digest(args, job.spec)
        return job, plan.site
    _need_overrides(args, "--plan and --out")
    study, task, site = _resolved(args)
    jobs = [job for job in study.memory.values() if job.spec.task == task]
    if len(jobs) != 1:
        raise SettingsError(
            f"these overrides name {len(jobs)} memories after task {task}; name exactly one strategy that keeps a "
            "memory, and not the last task"
        )
    return jobs[0], site


def check_digest(args: argparse.Namespace, spec: Spec) -> None:
    """Raise `SettingsError` if the plan file has other settings of a job than those it was started for."""
    if args.digest and args.digest != spec.digest:
        raise SettingsError(
            f"{args.plan} has other settings of this job ({spec.digest}) than it was planned with ({args.digest}): "
            "another run of the workflow has changed the study meanwhile; run the same command again"
        )


def _need_overrides(args: argparse.Namespace, files: str) -> None:
    if not args.overrides:
        raise SettingsError(f"give {files}, or overrides: stream=... objective=... strategy=... task=0")


def _resolved(args: argparse.Namespace) -> tuple[Plan, int, Site]:
    """Return the plan of the study that overrides describe, the task they name, and how jobs are executed."""
    from cassle.core.options import merged, parse
    from cassle.plan import resolve
    from cassle.settings.reading import read_study
    from cassle.settings.site import Site

    values = overrides_of(args.overrides)
    task = values.pop("task", 0)
    plan = resolve(read_study(values))
    site = parse(Site, merged(plan.study.site().model_dump(mode="json"), object_of(args, "site")), "--site")
    return plan, task, site
