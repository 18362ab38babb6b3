"""How a verb ends when it is told to: with a word in its log, and the exit code of the signal.

A training that can save its state listens itself, see `cassle.training.state`; this is for whatever starts anew.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = (signal.SIGTERM, signal.SIGHUP)
"""Signals that are made an exception; of SIGINT Python makes one by itself."""


class Stopped(KeyboardInterrupt):
    """A verb was told to stop by a signal other than Ctrl-C; no handler of errors takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` wherever the body is when one of `HEARD` arrives; an ignored one, as under nohup, stays so."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked worker ends as ever
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise Stopped(number)

    taken = [number for number in HEARD if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            if signal.getsignal(number) is stop:
                signal.signal(number, signal.SIG_DFL)


def signal_of(stop: KeyboardInterrupt) -> tuple[int, str]:
    """Return the number of the signal that stopped a verb, and how people call it."""
    if isinstance(stop, Stopped):
        return stop.number, signal.Signals(stop.number).name
    return signal.SIGINT, "Ctrl-C"
