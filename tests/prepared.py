"""Digits as `cassle prepare` and `cassle split` leave them, for tests of what comes after."""

from pathlib import Path

from cassle.data.base import datasets, write_index
from cassle.data.splits import split, write_split
from cassle.data.streams import Stream


def prepare_digits(folder: Path, stream: str) -> Path:
    """Write index.npz of digits and split.npz of one of its streams into a folder, and return it."""
    index = datasets.get("digits")().index(None)
    write_index(folder / "index.npz", index)
    write_split(folder / "split.npz", split(Stream.parse(stream), index))
    return folder
