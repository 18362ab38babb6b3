"""``benchmark.csv``: one row per job of a results folder, with its time, speed, memory, device and attempts."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cassle.contracts.layout import FIRST, RANDOM, number_of
from cassle.core.errors import DataError
from cassle.core.files import read_if_there, write_text
from cassle.monitor.timing import read_attempts, times_file
from cassle.reporting.rows.summary import Summary

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
    return stem.name.startswith(".") or stem.name in ("progress", "failed")


def _row(results: Path, stem: Path) -> Row:
    parts = stem.relative_to(results).parts
    stream, backbone, objective, strategy = parts[:4] if parts[2] != RANDOM else (*parts[:2], "", RANDOM)
    if parts[2] == RANDOM:
        seed, task = number_of(results.joinpath(*parts[:4]), "seed"), 0
    else:
        seed, task = number_of(results.joinpath(*parts[:5]), "seed"), number_of(results.joinpath(*parts[:6]), "task")
    probes = "probes" in parts
    record = read_if_there(stem.with_name(f"{stem.name}.json")) or {}
    measured = _benchmark(stem.with_name(f"{stem.name}.benchmark.tsv"))
    attempts = read_attempts(times_file(f"{stem}.json"))
    last = attempts[-1] if attempts else {}
    return {
        "job": "probe" if probes else stem.name,
        "stream": stream,
        "backbone": backbone,
        "objective": objective,
        "strategy": strategy,
        "seed": seed,
        "task": task,
        "evaluation": stem.parent.name if probes else "",
        "seconds": record.get("seconds"),
        "wall_seconds": measured.get("s"),
        "images_per_second": record.get("images_per_second"),
        "flops": record.get("flops"),
        "memory_mb": measured.get("max_rss"),
        "gpu_mb": last.get("gpu_mb"),
        "device": record.get("execution", record).get("device", ""),
        "host": last.get("host", ""),
        "leased": last.get("leased", ""),
        "attempts": len(attempts) or 1,
        "intervals": " ".join(f"{_moment(a['began'])}/{_moment(a.get('ended'))}" for a in attempts),
        "folder": "/".join(parts[:-1]),
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
    """Read ``benchmark.csv``; `DataError` if it is missing, damaged or has other columns."""
    if not Path(path).is_file():
        raise DataError(f"there is no {path}; check the path, or run `cassle collect --jobs`, which writes it")
    remedy = "delete it and run `cassle collect`"
    numbers = [column for column, kind in COLUMNS.items() if kind == "float64"]
    try:
        empty = {column: [""] for column in numbers}
        frame = pd.read_csv(path, dtype=COLUMNS, keep_default_na=False, na_values=empty)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; {remedy}") from error
    if list(frame.columns) != list(COLUMNS):
        raise DataError(f"{path} is not a table of jobs; {remedy}")
    return frame


def jobs_of_study(jobs: pd.DataFrame, study: Summary) -> pd.DataFrame:
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
