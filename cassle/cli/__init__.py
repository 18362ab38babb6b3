"""The command line: one verb per rule of the workflow, and verbs for people.

Nothing heavy is imported before a verb needs it, so that verbs for people answer at once.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import nullcontext

from cassle.cli.parser import build_parser
from cassle.core.errors import CassleError
from cassle.core.log import say
from cassle.runtime.locks import hold_log
from cassle.runtime.signals import say_stopped, stoppable


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; expected errors go to standard error as one message, with an exit code that is not 0."""
    _open_closed_streams()
    args = build_parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    hold_log()
    try:
        with stoppable(args.verb) if args.job else nullcontext():
            args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return 141  # as a shell reports SIGPIPE
    except CassleError as error:
        say(f"cassle {args.verb}: {error}", sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        say_stopped(args.verb, signal.SIGINT)
        return 128 + signal.SIGINT
    return 0


def _open_closed_streams() -> None:
    """Open the null device for each standard stream that the caller closed, as with ``2>&-``.

    Python sets such a stream to None. The next file that a verb opens would get its descriptor, and messages of
    libraries would be written into that file.
    """
    for name in ("stdin", "stdout", "stderr"):  # the order of their descriptors: `open` takes the lowest free one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def _reader_is_gone() -> bool:
    """Return whether the reader of standard output is gone, as after ``| head``; nothing is written there again."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    gone = bool(poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone
