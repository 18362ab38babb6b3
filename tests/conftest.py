"""Options of the test run, which pytest reads only from a conftest that it loads at its start, and a small disk."""

from pathlib import Path

import pytest

from tests.disk import Disk

GOLDEN_DATA = Path(__file__).parent / "golden" / "data"


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=GOLDEN_DATA,
        help="folder of reference numbers that tests/golden compares with (default: tests/golden/data)",
    )


@pytest.fixture
def disk(tmp_path):
    """A small disk that the test may fill up."""
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.remove()
