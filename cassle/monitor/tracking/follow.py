"""Following a study: once, or until the process that runs it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cassle.contracts.layout import StudyFolder, tracking_folder
from cassle.core.files import is_alive
from cassle.monitor.status import read_plan
from cassle.monitor.tracking.lines import Tracker, trackable
from cassle.runtime.locks import FileLock

EVERY = 10.0
"""Seconds between two looks."""


def follow(
    study: Path, tracker: Tracker, parent: int | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Show the trainings of a study (a folder such as results/studies/digits); with a parent, until that has ended."""
    plan = read_plan(study)
    root = StudyFolder.root_of(study)
    try:
        while True:
            last = parent is None or not is_alive(parent)
            for training in trackable(root, plan.train, plan.probes):
                tracker.show(training)
            if last:
                tracker.show_tables(study)
                return
            sleep(EVERY)
    finally:
        tracker.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a tracker's directory; wait for a follower that is about to end, so that nothing is shown twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(FileLock(folder / ".lock")) as lock:
        lock.wait()
        yield


def start_follower(verb: str, study: Path) -> subprocess.Popen[bytes]:
    """Start ``cassle <verb>`` beside this process; it outlives this process and harms nothing."""
    log_file = tracking_folder(StudyFolder.root_of(study), f"{verb}.log")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cassle.cli", verb, str(study), "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
