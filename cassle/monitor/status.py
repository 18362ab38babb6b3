"""What every run of a study is doing: read from small files, without torch, while Snakemake runs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cassle.contracts.layout import FAILURE, PLAN, PROGRESS, RECORD, STATE, ProbeFile, StudyFolder, TaskFolder
from cassle.contracts.records import FailureRecord, PlanRecord, ProgressRecord, read_record_if_present
from cassle.core.errors import CassleError
from cassle.monitor.failures import marker, read_failure
from cassle.runtime.locks import at_work, holder, on_guard

STALE = 120.0
"""Seconds after which the heartbeat of another machine counts as silence."""
SILENCE = 60.0
"""Seconds without a heartbeat that are worth a word."""
LITTLE = 10_000_000
"""Free bytes below which a disk counts as full."""
STATES = ("running", "waiting", "stopped", "failed", "done")


@dataclass(frozen=True)
class Line:
    """One training: its directory, its state (waiting, running, stopped, done, failed), and what is known of it."""

    folder: str
    state: str
    progress: ProgressRecord | None = None
    failure: FailureRecord | None = None


def read_plan(study: Path) -> PlanRecord:
    """Return the plan of a study that was started; ``study`` is a directory such as results/studies/digits."""
    plan = read_record_if_present(PlanRecord, study / PLAN)
    if plan is None:
        raise CassleError(f"nothing is known of {study}: no run of that study was started here")
    return plan


def lines_of(study: Path) -> list[Line]:
    """Return the state of every training of a study."""
    root = StudyFolder.root_of(study)
    return [line_of(root, folder) for folder in read_plan(study).train]


def line_of(root: Path, folder: str) -> Line:
    """Return the state of one training."""
    place = root / folder
    if (place / RECORD).is_file():
        return Line(folder, "done")
    beat = read_record_if_present(ProgressRecord, place / PROGRESS)
    held = holder(place)
    if held is not None:
        return Line(folder, "running", beat if beat and f"{beat.pid} on {beat.host}" == held else None)
    if beat and beat.host != os.uname().nodename and time.time() - beat.updated < STALE:
        return Line(folder, "running", beat)
    if failed := read_record_if_present(FailureRecord, place / FAILURE):
        return Line(folder, "failed", failure=failed)
    return Line(folder, "stopped" if (place / STATE).is_file() else "waiting", beat)


def as_text(study: Path) -> str:
    """Return a study as text: a line per training that is not simply done or waiting, and the totals."""
    lines, root = lines_of(study), StudyFolder.root_of(study)
    counts = Counter(line.state for line in lines)
    reported = [_line_text(line) for line in lines if line.state not in ("done", "waiting")]
    jobs = _other_jobs(study)
    states = {output: state_of(root / output, root / log) for output, log in jobs.items()}
    for output, (state, why) in states.items():
        if state in ("running", "stopped"):
            reported.append(f"{state:8} {output}" + (f"  {why}" if why else ""))
        elif state == "failed":
            reported.append(f"failed   {output}\n         {why}\n         log: {jobs[output]}")
    totals = "trainings: " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    if jobs:
        totals += f"; other jobs: {sum(state == 'done' for state, _ in states.values())} of {len(jobs)} done"
    return "\n".join([*reported, totals])


def snakemake_at(study: Path) -> str:
    """Return in a line whether Snakemake works in the folder of a study, by the lock that it holds."""
    root = StudyFolder.root_of(study)
    try:
        who = on_guard(root / ".snakemake/guard")
    except OSError as error:
        return f"Whether Snakemake works in {root} is unknown: {error.strerror}"
    if who is None:
        return f"No Snakemake works in {root}: the same command resumes what is not done"
    return f"Snakemake works in {root}: {who or 'the process is unknown'}"


def last_words(study: Path) -> str:
    """Return what a user reads last when a run of the workflow did not come to its end.

    Says which jobs failed, why, where their logs are, and how to go on.
    """
    root = StudyFolder.root_of(study)
    trainings = map(TaskFolder.parse, read_plan(study).train)
    jobs = {place.record: place.log for place in trainings} | _other_jobs(study)
    ended = {output: log for output, log in jobs.items() if (root / log).is_file() and not (root / output).is_file()}
    undone = sum(not (root / output).is_file() for output in jobs)
    words = [f"{len(ended)} of {len(jobs)} jobs did not end well:"] if ended else []
    words += [f"  {output}: {reason(root / output, root / log)}\n    log: {log}" for output, log in ended.items()]
    if undone > len(ended):
        words.append(f"{undone - len(ended)} more were not begun.")
    if shutil.disk_usage(root).free < LITTLE:
        words.append(f"The disk of {root} is full: make room first.")
    return "\n".join([*words, "Finished results are kept: the same command resumes from there."])


def _other_jobs(study: Path) -> dict[str, str]:
    """Return the output and the log of every job that is no training."""
    plan = read_plan(study)
    return {**plan.others, **{probe: ProbeFile.parse(probe).log for probe in plan.probes}}


def _line_text(line: Line) -> str:
    if line.failure is not None:
        log = TaskFolder.parse(line.folder).log
        return f"failed   {line.folder}\n         {line.failure.message}\n         log: {log}"
    progress = line.progress
    if progress is None or progress.epoch is None:
        return f"{line.state:8} {line.folder}" + ("  starting" if line.state == "running" else "")
    text = f"{line.state:8} {line.folder}  epoch {progress.epoch}/{progress.epochs}"
    if progress.loss is not None:
        text += f"  loss {progress.loss:.4g}"
    if line.state == "running":
        if progress.images_per_second is not None:
            text += f"  {progress.images_per_second:.0f} images/s"
        if progress.seconds_left is not None:
            text += f"  {duration(progress.seconds_left)} left"
        text += f"  on {progress.device}"
        if (silent := time.time() - progress.updated) > SILENCE:
            text += f"  (silent for {duration(silent)})"
    return text


def duration(seconds: float) -> str:
    """Return seconds in words.

    >>> duration(42), duration(3700), duration(200_000)
    ('42 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


TAIL = 8192
"""Bytes of the end of a log in which its last line is looked for."""
_OF_PYTHON = re.compile(r"[\w.]+(Error|Exception)\b")


def state_of(output: Path, log: Path) -> tuple[str, str]:
    """Return what a job that is no training does (done, running, stopped, failed, waiting), and why it ended.

    One with an empty log counts as waiting: it may just have begun, or work on a machine whose lock is not seen.
    """
    if output.is_file():
        return "done", ""
    if at_work(log):
        return "running", ""
    if (why := _why_ended(output, log)) is None:
        return "waiting", ""
    return ("stopped" if why.startswith("stopped by ") else "failed"), why


def reason(output: Path, log: Path) -> str:
    """Return why a job ended without its output."""
    if (why := _why_ended(output, log)) is not None:
        return why
    last = last_line(log)
    return "ended without a word, as when it is killed or memory runs out" + (f"; its log ends: {last}" if last else "")


def _why_ended(output: Path, log: Path) -> str | None:
    """Return why a job ended, from its marker or from the last line of its log, if one of them tells."""
    if failed := read_failure(marker(output)):
        return failed.message
    last = last_line(log)
    if last.startswith("cassle "):
        return last.split(": ", 1)[-1]
    return last if _OF_PYTHON.match(last) else None


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, looking at its end only: a week's log may be long."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:  # none, or just being removed
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
