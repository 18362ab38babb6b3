"""The cost of a plan, job by job, and which jobs are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cassle.contracts.jobs import ProbeJob, TrainJob
from cassle.contracts.layout import TaskFolder, features_of
from cassle.contracts.records import ProbeRecord, TrainRecord, read_record_if_present
from cassle.contracts.specs import Component
from cassle.cost.sizes import task_sizes
from cassle.plan import Plan, targets
from cassle.training.flops import forward_flops, memory_cost, step_cost, training_flops


def trained(job: TrainJob, root: Path) -> TrainRecord | None:
    """Return the record of a task that was trained with the settings it has in the plan, or None."""
    made = read_record_if_present(TrainRecord, root / job.at.record)
    return made if made is not None and made.spec == job.spec else None


def evaluated(job: ProbeJob, training: TrainJob | None, root: Path) -> bool:
    """Return whether an evaluation was done: of the checkpoint that its training has left, by the probes of the plan.

    ``training``: that of the checkpoint; None for the random network.
    """
    made = read_record_if_present(ProbeRecord, root / job.file)
    if made is None or made.spec != job.spec:
        return False
    if training is None:
        return made.checkpoint is None
    record = trained(training, root)
    return record is not None and made.checkpoint == record.checkpoint


@dataclass(frozen=True)
class Job:
    """One job of the workflow: its rule, a file or folder that names it, whether it is done, and what it costs.

    ``images`` and ``epochs`` are those of training; ``flops`` counts matrix products and convolutions; ``bytes`` stay
    on the disk; ``after`` is the name of the training or memory it has to wait for.
    """

    rule: str
    name: str
    done: bool
    epochs: int = 0
    images: int = 0
    flops: float = 0.0
    bytes: int = 0
    after: str | None = None


def jobs_of(plan: Plan, root: Path = Path()) -> list[Job]:
    """Return every job of a plan, as Snakemake counts them in a folder without results."""
    jobs = [
        COSTLY[rule](plan, rule, name, root) if rule in COSTLY else Job(rule, name, (root / name).is_file())
        for rule, names in targets.jobs(plan).items()
        for name in names
    ]
    if _collected(jobs, root):
        return jobs
    return [replace(job, done=False) if job.rule in COLLECTED else job for job in jobs]


COLLECTED = ("collect_runs", "make_table", "draw_figure", "draw_timeline", "write_page")
"""The rule that collects every finished run of a folder of results, and the rules that wait for it."""


def _collected(jobs: list[Job], root: Path) -> bool:
    """Return whether every evaluation of a plan is done and none is newer than the collected rows.

    The rows may be those of other studies in the same directory of results.
    """
    rows = next((root / job.name for job in jobs if job.rule == "collect_runs"), None)
    probes = [job for job in jobs if job.rule.startswith("probe_")]
    if rows is None or not rows.is_file() or not all(job.done for job in probes):
        return False
    collected = rows.stat().st_mtime_ns
    return all((root / job.name).stat().st_mtime_ns <= collected for job in probes)


def jobs_by_rule(plan: Plan) -> dict[str, int]:
    """Return rule -> number of jobs of a plan, without their cost."""
    return {rule: len(names) for rule, names in targets.jobs(plan).items()}


def counts(jobs: list[Job]) -> dict[str, tuple[int, int]]:
    """Return rule -> number of jobs, and how many of them are done."""
    every, done = Counter(job.rule for job in jobs), Counter(job.rule for job in jobs if job.done)
    return {rule: (number, done[rule]) for rule, number in every.items()}


def critical_path(jobs: list[Job]) -> list[Job]:
    """Return the chain of dependent jobs with the most operations to come."""
    by_name = {job.name: job for job in jobs}

    @cache
    def whole(job: Job) -> float:
        return (0.0 if job.done else job.flops) + (whole(by_name[job.after]) if job.after else 0.0)

    waiting = [job for job in jobs if not job.done and (job.after or job.rule.startswith("train"))]
    if not waiting:
        return []
    chain = [max(waiting, key=whole)]
    while (before := chain[-1].after) is not None:
        chain.append(by_name[before])
    return [job for job in reversed(chain) if not job.done]


@dataclass(frozen=True)
class Cost:
    """The cost of a task's training, in the units of `Job`."""

    epochs: int = 0
    images: int = 0
    flops: float = 0.0
    bytes: int = 0


def _train_job(plan: Plan, rule: str, folder: str, root: Path) -> Job:
    job = plan.train[folder]
    cost = cost_of_training(job, root)
    previous = None if job.previous is None else str(job.previous)
    after = previous if job.memory is None else job.memory.memory
    done = trained(job, root) is not None
    return Job(rule, folder, done, cost.epochs, cost.images, cost.flops, cost.bytes, after)


def cost_of_training(job: TrainJob, root: Path) -> Cost:
    """Return the cost of a task's training; a first checkpoint that is taken over costs its disk space only."""
    spec, training = job.spec, job.spec.training
    dataset = spec.stream.open({})
    cost = step_cost(spec, dataset.image_size, dataset.num_classes or 1)
    if job.first_checkpoint is not None:
        return Cost(bytes=cost.checkpoint_bytes)
    steps = task_sizes(spec.stream, root)[0][spec.task] // training.batch_size
    images = training.epochs * steps * training.batch_size
    flops = images * training_flops(spec, dataset.image_size, dataset.num_classes or 1)
    return Cost(training.epochs, images, flops, cost.checkpoint_bytes)


def _memory_job(plan: Plan, rule: str, file: str, root: Path) -> Job:
    job = plan.memory[str(TaskFolder.parse(Path(file).parent))]
    spec = job.spec
    dataset, images = spec.stream.open({}), task_sizes(spec.stream, root)[0][spec.task]
    flops, size = memory_cost(spec, images, dataset.image_size, dataset.num_classes or 1)
    return Job(rule, file, (root / file).is_file(), flops=flops, bytes=size, after=str(job.checkpoint))


def _probe_job(plan: Plan, rule: str, file: str, root: Path) -> Job:
    job = plan.probe[file]
    training = None if job.at is None else plan.train[str(job.at)]
    backbone = job.spec.backbone if training is None else training.spec.backbone
    assert backbone is not None, f"{file} has neither a checkpoint nor a backbone"
    after = None if training is None else training.folder
    return Job(rule, file, evaluated(job, training, root), flops=_probing(job, backbone, root), after=after)


def _probing(job: ProbeJob, backbone: Component, root: Path) -> float:
    """Return the operations of a checkpoint's probes: one pass over each stream, and the epochs of those with epochs.

    Probes that train another one's classifier do so with their fraction of the labels.
    """
    main = job.spec.stream
    sizes = {stream.name: task_sizes(stream, root) for stream in job.spec.streams}
    images = float(sum(sum(train) + test for train, test in sizes.values()))
    for probe in job.spec.probes:
        settings: Any = probe.settings
        epochs = settings.get("classifier", settings).get("epochs", 0)
        images += epochs * settings.get("fraction", 1.0) * sum(sizes[(probe.stream or main).name][0])
    return images * forward_flops(backbone, main.open({}).image_size)


def _extraction(plan: Plan, rule: str, file: str, root: Path) -> Job:
    """Return the job of an extraction, one pass over the test images of a stream."""
    at, evaluation = features_of(file)
    stream, backbone = plan.streams[evaluation], plan.train[str(at)].spec.backbone
    flops = task_sizes(stream, root)[1] * forward_flops(backbone, stream.open({}).image_size)
    return Job(rule, file, (root / file).is_file(), flops=flops, after=str(at))


COSTLY: dict[str, Callable[[Plan, str, str, Path], Job]] = {
    "train_task": _train_job,
    "build_memory": _memory_job,
    "probe_checkpoint": _probe_job,
    "probe_random_network": _probe_job,
    "extract_features": _extraction,
}
"""Rule -> function from a plan, the rule, the name of a job and the directory of results to that job. Jobs of other
rules cost seconds."""
