"""Prepared files that long tests share."""

import pytest

from cassle.data.base import data_sets, write_index
from cassle.data.streams import Stream, split, write_split
from tests.long.shared_training import STREAM


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Folder with index.npz of digits and split.npz of a stream of two domains."""
    folder = tmp_path_factory.mktemp("prepared")
    index = data_sets.get("digits")().index(None)
    write_index(folder / "index.npz", index)
    write_split(folder / "split.npz", split(Stream.parse(STREAM), index))
    return folder
