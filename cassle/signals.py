"""What ends a process from outside."""

from __future__ import annotations

import ctypes
import signal
import sys

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals by which users, schedulers and terminals ask a job to stop."""
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel end this process as soon as the one that started it is gone, however it ended; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
