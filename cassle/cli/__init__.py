"""The command line: one verb per rule of the workflow, and verbs for people.

Nothing heavy is imported before a verb needs it, so that verbs for people answer at once.
"""

from __future__ import annotations

import sys

from cassle.cli.parser import build_parser
from cassle.cli.stopping import signal_of, stoppable
from cassle.errors import CassleError
from cassle.locks import hold_log
from cassle.log import say


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; errors in the user's words go to standard error, and the exit code is not 0."""
    args = build_parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    hold_log()
    try:
        with stoppable():
            args.run(args)
    except CassleError as error:
        say(f"cassle {args.verb}: {error}", sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except KeyboardInterrupt as stop:
        number, name = signal_of(stop)
        say(f"cassle {args.verb}: stopped by {name}; the same command goes on", sys.stderr)
        return 128 + number
    return 0
