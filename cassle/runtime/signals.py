"""Signals that end a process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cassle.core.log import say

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals by which users, schedulers and terminals ask a job to stop."""
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel end this process when its parent process ends for any reason; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_USUAL = (signal.SIG_DFL, signal.default_int_handler)


@contextmanager
def stoppable(verb: str) -> Iterator[None]:
    """Print a message when one of `STOPPING` ends this process; an ignored signal, as under nohup, stays ignored.

    The signal then has its default effect: an exception during the import of compiled code would change its message.
    """
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:  # not in a forked worker
            say_stopped(verb, number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = {number: handler for number in STOPPING if (handler := signal.getsignal(number)) in _USUAL}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def say_stopped(verb: str, number: int) -> None:
    """Print the signal that ends a verb."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    say(f"cassle {verb}: stopped by {name}; the same command resumes", sys.stderr)
