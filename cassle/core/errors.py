"""Errors a user reads: what happened, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CassleError(Exception):
    """An error in the user's words; the command line prints it without a traceback and exits with 1."""


class SettingsError(CassleError):
    """A setting that is unknown, impossible, or in conflict with another."""


class DataError(CassleError):
    """A dataset that is missing, incomplete or unreadable."""


class CheckpointError(CassleError):
    """A checkpoint that cannot be read or does not fit the network it is loaded into."""


class DivergenceError(CassleError):
    """A loss that is not finite any more."""


class Interrupted(CassleError):
    """A training that was asked to stop and has saved its state; ``exit_code`` is 128 + the signal's number."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def in_words(error: BaseException) -> str:
    """Return an error as people read it: our own words, or the kind and the first line of any other.

    >>> in_words(DataError("no images")), in_words(KeyError("seed"))
    ('no images', "KeyError: 'seed'")
    """
    if isinstance(error, CassleError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'byol'? `` or the list of what is known.

    >>> nearest("bylo", ["byol", "simclr"])
    "did you mean 'byol'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"


def unknown(kind: str, name: str, known: Iterable[str]) -> SettingsError:
    """Return the error for a name that nothing is registered under, with the nearest valid one."""
    return SettingsError(f"there is no {kind} '{name}': {nearest(name, known)}")
