"""Lines for a log, which end no job where the log cannot be written."""

import io
import sys

import pytest

from cassle.core.log import say


class Refusing(io.StringIO):
    """A log that refuses lines."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_a_line_goes_to_where_it_is_told_to_go(capsys):
    say("trained")
    say("failed", sys.stderr)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("trained\n", "failed\n")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("reentrant call")])
def test_a_log_that_refuses_a_line_ends_no_job(error):
    say("trained", Refusing(error))
