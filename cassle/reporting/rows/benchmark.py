"""``benchmark.csv``: one row per job of a results folder, with its time, speed, memory, device and attempts."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cassle.contracts.layout import FAILURE, FIRST, PROGRESS, RANDOM, RECORD, ProbeFile, RandomFolder, TaskFolder
from cassle.contracts.records import AttemptRecord, ProbeRecord, TrainRecord, read_lines, read_record_if_present
from cassle.contracts.summary import StudyRecord
from cassle.core.errors import DataError
from cassle.core.files import write_text
from cassle.monitor.timing import times_file
from cassle.reporting.rows.frame import REMEDY, check_range

Row = dict[str, Any]
COLUMNS = {
    "job": "str",
    "stream": "str",
    "backbone": "str",
    "objective": "str",
    "strategy": "str",
    "seed": "int64",
    "task": "int64",
    "evaluation": "str",
    "seconds": "float64",
    "wall_seconds": "float64",
    "images_per_second": "float64",
    "flops": "float64",
    "memory_mb": "float64",
    "gpu_mb": "float64",
    "device": "str",
    "host": "str",
    "leased": "str",
    "attempts": "int64",
    "intervals": "str",
    "folder": "str",
}
"""Column -> type. ``job``: train, probe, or the stem of its files. ``seconds``: work, whatever was resumed included;
``flops``: operations of a training, counted and not measured (`cassle.training.flops`);
``wall_seconds``: the last process, its start-up included; ``memory_mb``, ``gpu_mb``: the most it held, MiB. ``device``:
what computed; ``leased``: cpu, or the GPUs by their numbers on the host. ``intervals``: begin/end of each attempt, UTC,
with blanks between; an attempt that was killed may have no end."""


def jobs_of(results: Path) -> list[Row]:
    """Return a row, in a fixed order, for every job that has left a record, a benchmark or its times under a folder."""
    stems = set()
    for pattern in ("*/*/*/*/seed*/task*", "*/*/*/*/seed*/task*/probes/*", f"*/*/{RANDOM}/seed*/probes/*"):
        for ending in (".json", ".benchmark.tsv", ".times.jsonl"):
            stems |= {file.with_name(file.name.removesuffix(ending)) for file in results.glob(f"{pattern}/*{ending}")}
    return [_row(results, stem) for stem in sorted(stems) if not _is_no_job(stem)]


def _is_no_job(stem: Path) -> bool:
    """Return whether a file beside a training is none of a job: hidden names, heartbeat, failure."""
    return stem.name.startswith(".") or stem.name in (Path(PROGRESS).stem, Path(FAILURE).stem)


def _row(results: Path, stem: Path) -> Row:
    at: TaskFolder | RandomFolder
    record: TrainRecord | ProbeRecord | None = None
    job, evaluation, device = stem.name, "", ""
    if stem.parent.parent.name == "probes":
        file = ProbeFile.parse(stem.with_name(f"{stem.name}.json"))
        at, job, evaluation = file.folder, "probe", file.evaluation
        record = read_record_if_present(ProbeRecord, stem.with_name(f"{stem.name}.json"))
        device = record.execution.device if record else ""
    else:
        at = TaskFolder.parse(stem.parent)
        if job == Path(RECORD).stem:
            record = read_record_if_present(TrainRecord, stem.with_name(RECORD))
            device = record.device if record else ""
    run = ("", RANDOM, 0) if isinstance(at, RandomFolder) else (at.objective, at.strategy, at.task)
    trained = record if isinstance(record, TrainRecord) else None
    measured = _benchmark(stem.with_name(f"{stem.name}.benchmark.tsv"))
    attempts = read_lines(AttemptRecord, times_file(f"{stem}.json"))
    last = attempts[-1] if attempts else None
    return {
        "job": job,
        "stream": at.stream,
        "backbone": at.backbone,
        "objective": run[0],
        "strategy": run[1],
        "seed": at.seed,
        "task": run[2],
        "evaluation": evaluation,
        "seconds": record.seconds if record else None,
        "wall_seconds": measured.get("s"),
        "images_per_second": trained.images_per_second if trained else None,
        "flops": trained.flops if trained else None,
        "memory_mb": measured.get("max_rss"),
        "gpu_mb": last.gpu_mb if last else None,
        "device": device,
        "host": last.host if last else "",
        "leased": last.leased if last else "",
        "attempts": len(attempts) or 1,
        "intervals": " ".join(f"{_moment(one.began)}/{_moment(one.ended)}" for one in attempts),
        "folder": stem.parent.relative_to(results).as_posix(),
    }


def _benchmark(file: Path) -> dict[str, float]:
    """Return the numbers of Snakemake's benchmark file; none if it has none, or a dash for what was too short."""
    found = {}
    with suppress(OSError, StopIteration), file.open(newline="") as text:
        for key, value in next(csv.DictReader(text, delimiter="\t")).items():
            with suppress(TypeError, ValueError):
                found[key] = float(value)
    return found


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_jobs(path: str | Path, rows: list[Row]) -> None:
    """Write rows as CSV, completely or not at all."""
    text = io.StringIO()
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(text, index=False, lineterminator="\n")
    write_text(path, text.getvalue())


def read_jobs(path: str | Path) -> pd.DataFrame:
    """Read ``benchmark.csv``; `DataError` as `read_runs` raises it."""
    if not Path(path).is_file():
        raise DataError(f"there is no {path}; check the path, or run `cassle collect --jobs`, which writes it")
    numbers = [column for column, kind in COLUMNS.items() if kind == "float64"]
    try:
        empty = {column: [""] for column in numbers}
        frame = pd.read_csv(path, dtype=COLUMNS, keep_default_na=False, na_values=empty)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; {REMEDY}") from error
    if list(frame.columns) != list(COLUMNS):
        raise DataError(f"{path} is not a table of jobs; {REMEDY}")
    check_range(frame, path, (*numbers, "task"), 0)
    check_range(frame, path, ("attempts",), 1)
    return frame


def jobs_of_study(jobs: pd.DataFrame, study: StudyRecord) -> pd.DataFrame:
    """Return the jobs that a study's tables rest on: its trainings, shared and joint ones included, and evaluations."""
    return jobs[
        jobs["stream"].isin({*study.streams, *study.joint.values()})
        & jobs["backbone"].isin(study.backbones)
        & jobs["objective"].isin({*study.objectives, ""})
        & jobs["strategy"].isin({*study.strategies, FIRST, RANDOM})
        & jobs["evaluation"].isin({*study.streams, ""})
        & jobs["seed"].isin(study.seeds)
    ]


def spent_on_run(
    trained: pd.DataFrame, backbone: str, objective: str, strategy: str, seed: int, tasks: int, column: str = "seconds"
) -> float:
    """Return the sum of a column over the trainings of one run, its shared first task included; NaN if any lacks it.

    ``trained``: rows of trainings on one stream, of so many ``tasks``. For joint training, those of the stream of
    everything, which has one. A run of which a task is missing took an unknown time, not a short one.
    """
    own = trained[(trained["backbone"] == backbone) & (trained["objective"] == objective) & (trained["seed"] == seed)]
    run = own[own["strategy"] == strategy]
    if not (run["task"] == 0).any():
        run = pd.concat([own[own["strategy"] == FIRST], run])
    complete = set(run["task"]) == set(range(tasks))
    return float(run[column].sum(skipna=False)) if complete else float("nan")
