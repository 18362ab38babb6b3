"""What the log of a job tells of it while it works, and after it has ended without its output."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cassle.failures import marker
from cassle.files import read_if_there
from cassle.locks import at_work

TAIL = 8192
"""Bytes of the end of a log in which its last line is looked for."""
_OF_PYTHON = re.compile(r"[\w.]+(Error|Exception)\b")


def state_of(output: Path, log: Path) -> tuple[str, str]:
    """Return what a job that is no training does (done, running, stopped, failed, waiting), and why it ended.

    One whose log tells nothing counts as waiting: it may just have begun, or work where nobody sees its lock.
    """
    if output.is_file():
        return "done", ""
    if at_work(log):
        return "running", ""
    if (why := _told(output, log)) is None:
        return "waiting", ""
    return ("stopped" if why.startswith("stopped by ") else "failed"), why


def reason(output: Path, log: Path) -> str:
    """Return why a job ended without its output."""
    if (why := _told(output, log)) is not None:
        return why
    last = last_line(log)
    return "ended without a word, as when it is killed or memory runs out" + (f"; its log ends: {last}" if last else "")


def _told(output: Path, log: Path) -> str | None:
    """Return why a job ended, from its marker or from the last line of its log, if one of them tells."""
    if failed := read_if_there(marker(output)):
        return str(failed["message"])
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
