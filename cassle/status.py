"""What every run of a study is doing: read from small files, without torch, while Snakemake runs."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cassle.errors import CassleError
from cassle.files import read_json, write_json

STALE = 120.0
"""Seconds after which the heartbeat of another machine counts as silence."""


@dataclass(frozen=True)
class Line:
    """One training: its folder, what it does (waiting, running, stopped, done, failed) and what is known of it."""

    folder: str
    state: str
    facts: dict[str, Any]


def write_plan(study: Path, folders: list[str], probes: list[str], trackers: dict[str, Any]) -> None:
    """Write down the trainings and evaluations of a study and what shows them, for those who look on."""
    plan = {"host": os.uname().nodename, "train": folders, "probes": probes, "trackers": trackers}
    write_json(study / "plan.json", plan)


def read_plan(study: Path) -> dict[str, Any]:
    """Return what `write_plan` wrote; ``study`` is a folder such as results/studies/digits."""
    plan = study / "plan.json"
    if not plan.is_file():
        raise CassleError(f"nothing is known of {study}: no run of that study was started here")
    return dict(read_json(plan))


def lines_of(study: Path) -> list[Line]:
    """Return the state of every training of a study."""
    plan = read_plan(study)
    root = study.resolve().parents[2]
    return [line_of(root, folder) for folder in plan["train"]]


def line_of(root: Path, folder: str) -> Line:
    """Return the state of one training."""
    place = root / folder
    files = {name: place / name for name in ("train.json", "failed.json", "progress.json", "state.pt")}
    if files["train.json"].is_file():
        return Line(folder, "done", {})
    beat = _beat(files["progress.json"])
    if beat and _alive(beat):
        return Line(folder, "running", beat)
    if files["failed.json"].is_file():
        return Line(folder, "failed", read_json(files["failed.json"]))
    return Line(folder, "stopped" if files["state.pt"].is_file() else "waiting", beat or {})


def _beat(file: Path) -> dict[str, Any] | None:
    try:
        return dict(read_json(file))
    except CassleError:  # none yet, or just being removed
        return None


def _alive(beat: dict[str, Any]) -> bool:
    """Return whether the process that wrote a heartbeat still runs, or spoke lately if it is on another machine."""
    if beat["host"] != os.uname().nodename:
        return bool(time.time() - beat["updated"] < STALE)
    try:
        os.kill(beat["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def as_text(lines: list[Line]) -> str:
    """Return the lines as text: one per training that is not simply done or waiting, and the totals."""
    counts = Counter(line.state for line in lines)
    told = [_told(line) for line in lines if line.state not in ("done", "waiting")]
    totals = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return "\n".join([*told, totals])


STATES = ("running", "waiting", "stopped", "failed", "done")


def _told(line: Line) -> str:
    facts = line.facts
    if line.state == "failed":
        return f"failed   {line.folder}\n         {facts['message']}\n         log: {line.folder}/train.log"
    if "epoch" not in facts:
        return f"{line.state:8} {line.folder}"
    text = f"{line.state:8} {line.folder}  epoch {facts['epoch']}/{facts['epochs']}"
    if facts.get("loss") is not None:
        text += f"  loss {facts['loss']:.4g}"
    if line.state == "running":
        text += f"  {facts['images_per_second']:.0f} images/s"
        if facts.get("seconds_left") is not None:
            text += f"  {duration(facts['seconds_left'])} left"
        text += f"  on {facts['device']}"
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
