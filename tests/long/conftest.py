"""Prepared files that long tests share."""

import pytest

from tests.long.shared_training import STREAM
from tests.prepared import prepare_digits


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Folder with index.npz of digits and split.npz of a stream of two domains."""
    return prepare_digits(tmp_path_factory.mktemp("prepared"), STREAM)
