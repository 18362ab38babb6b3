"""How the C library hands memory out to tensors."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""


def keep_freed_memory() -> None:
    """Let the process keep memory that it frees, and use it again; does nothing where the C library is not glibc.

    By default glibc gives tensors of a megabyte back to the kernel when they are freed, and the kernel clears each page
    when the next tensor of that size is made. A step on a CPU makes thousands of them; views took a third longer.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
