"""What a plan costs, job by job, and what of it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cassle.cost.done import evaluated, trained
from cassle.cost.flops import forward_flops, memory_cost, step_cost, training_flops
from cassle.cost.sizes import task_sizes
from cassle.data.streams import Stream
from cassle.paths import index_file, split_file
from cassle.runs import Plan, ProbeJob, TrainJob, targets


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
    kinds = (_data_jobs, _train_jobs, _memory_jobs, _probe_jobs, _feature_jobs, _report_jobs)
    return [job for made in kinds for job in made(plan, root)]


def jobs_by_rule(plan: Plan) -> dict[str, int]:
    """Return rule -> number of jobs of a plan, without their cost."""
    parts = plan.parts()
    first = sum(job.parent is None for job in plan.train.values())
    of_checkpoints = sum(job.trained for job in plan.probe.values())
    return {
        "prepare_data": len({stream.index for stream in plan.streams.values()}),
        "split_stream": len(plan.streams),
        "train_first_task": first,
        "train_next_task": len(plan.train) - first,
        **({"remember_task": len(plan.memory)} if plan.memory else {}),
        "probe_checkpoint": of_checkpoints,
        "probe_random_network": len(plan.probe) - of_checkpoints,
        **({"extract_features": len(extracted)} if (extracted := _extracted(plan)) else {}),
        "collect_runs": 1,
        "describe_study": len(parts),
        "make_table": sum(len(part.tables()) for part in parts),
        "draw_figure": sum(len(part.figures()) for part in parts),
        **({"draw_features": len(drawn)} if (drawn := _drawn_features(plan)) else {}),
        "draw_timeline": len(parts),
        "write_page": len(parts),
    }


def counts(jobs: list[Job]) -> dict[str, tuple[int, int]]:
    """Return rule -> number of jobs, and how many of them are done."""
    every, done = Counter(job.rule for job in jobs), Counter(job.rule for job in jobs if job.done)
    return {rule: (number, done[rule]) for rule, number in every.items()}


def critical_path(jobs: list[Job]) -> list[Job]:
    """Return the longest chain of jobs that wait for each other, by what is left of it to compute."""
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


def _data_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    for name in sorted({stream.index for stream in plan.streams.values()}):
        file = index_file(name)
        yield Job("prepare_data", file, (root / file).is_file())
    for stream in plan.streams:
        file = split_file(stream)
        yield Job("split_stream", file, (root / file).is_file())


def _train_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    for job in plan.train.values():
        rule = "train_first_task" if job.parent is None else "train_next_task"
        yield Job(rule, job.folder, trained(job, root), after=job.memory or job.parent, **cost_of_training(job, root))


def _memory_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    for job in plan.memory.values():
        spec = job.spec
        stream = Stream(**spec["stream"])
        data_set, images = stream.open({}), task_sizes(stream, root)[0][spec["task"]]
        batch_size = spec["training"]["batch_size"]
        flops, size = memory_cost(spec, images, batch_size, data_set.image_size, data_set.num_classes or 1)
        done = (root / job.file).is_file()
        yield Job("remember_task", job.file, done, flops=flops, bytes=size, after=job.checkpoint)


def cost_of_training(job: TrainJob, root: Path) -> dict[str, Any]:
    """Return the epochs, images, flops and bytes of a task's training, as a `Job` has them.

    A first task that is taken over from another checkpoint costs its room on the disk only.
    """
    stream, training = Stream(**job.spec["stream"]), job.spec["training"]
    data_set = stream.open({})
    cost = step_cost(job.spec, data_set.image_size, data_set.num_classes or 1)
    if job.given is not None:
        return {"bytes": cost.checkpoint_bytes}
    steps = task_sizes(stream, root)[0][job.spec["task"]] // training["batch_size"]
    images = training["epochs"] * steps * training["batch_size"]
    return {
        "epochs": training["epochs"],
        "images": images,
        "flops": images * training_flops(job.spec, data_set.image_size, data_set.num_classes or 1),
        "bytes": cost.checkpoint_bytes,
    }


def _probe_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    for file, job in plan.probe.items():
        rule = "probe_checkpoint" if job.trained else "probe_random_network"
        training = plan.train[job.folder] if job.trained else None
        backbone = job.spec["backbone"] if training is None else training.spec["backbone"]
        after = None if training is None else training.folder
        yield Job(rule, file, evaluated(job, training, root), flops=_probing(job, backbone, root), after=after)


def _probing(job: ProbeJob, backbone: dict[str, Any], root: Path) -> float:
    """Return the operations of a checkpoint's probes: one pass over each stream, and the epochs of those with epochs.

    Probes that train another one's classifier do so with their share of the labels.
    """
    main = Stream(**job.spec["stream"])
    sizes = {stream.name: task_sizes(stream, root) for stream in job.streams}
    images = float(sum(sum(train) + test for train, test in sizes.values()))
    for probe in job.spec["probes"]:
        settings = probe["settings"]
        looked_at = Stream(**probe["stream"]) if "stream" in probe else main
        epochs = settings.get("classifier", settings).get("epochs", 0)
        images += epochs * settings.get("fraction", 1.0) * sum(sizes[looked_at.name][0])
    return images * forward_flops(backbone, main.open({}).image_size)


def _extracted(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return file of features -> the stream and the checkpoint's folder, of all studies with figures of features."""
    parts = [part for part in plan.parts() if part.study.features]
    found: dict[str, tuple[str, str]] = {}
    for part in parts:
        for stream in part.cells["streams"]:
            found |= {file: (stream, file.partition("/features/")[0]) for file in targets.features(part, stream)}
    return found


def _drawn_features(plan: Plan) -> list[str]:
    """Return the files of all figures of features."""
    return [
        f"{part.folder}/features/{stream}/{figure}.pdf"
        for part in plan.parts()
        for stream in part.cells["streams"]
        for figure in part.study.features
    ]


def _feature_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    """Yield extractions, each one pass over the test images of a stream, and what is drawn of them."""
    for file, (name, folder) in _extracted(plan).items():
        stream, backbone = plan.streams[name], plan.train[folder].spec["backbone"]
        flops = task_sizes(stream, root)[1] * forward_flops(backbone, stream.open({}).image_size)
        yield Job("extract_features", file, (root / file).is_file(), flops=flops, after=folder)
    for file in _drawn_features(plan):
        yield Job("draw_features", file, (root / file).is_file())


def _report_jobs(plan: Plan, root: Path) -> Iterator[Job]:
    yield Job("collect_runs", "results/runs.csv", (root / "results/runs.csv").is_file())
    for part in plan.parts():
        place = part.folder
        tables = [f"{place}/tables/{stream}/{probe}.md" for stream, probe in part.tables()]
        figures = [f"{place}/figures/{stream}/{probe}/{name}.pdf" for stream, probe, name in part.figures()]
        files = [("describe_study", f"{place}/study.json"), *(("make_table", file) for file in tables)]
        files += [("draw_timeline", f"{place}/timeline.pdf"), ("write_page", f"{place}/report.html")]
        for rule, file in [*files, *(("draw_figure", file) for file in figures)]:
            yield Job(rule, file, (root / file).is_file())
