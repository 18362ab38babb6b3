"""Options of the test run, which pytest reads only from a conftest that it loads at its start, and fixtures for all."""

import contextlib
import signal
import tempfile
from pathlib import Path

import pytest

from tests.disk import Disk

# processes that tests start hear these signals, also where the tests themselves run in the background and do not
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

GOLDEN_DATA = Path(__file__).parent / "golden" / "data"


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        type=lambda text: Path(text).absolute(),  # tests run in other folders
        default=GOLDEN_DATA,
        help="folder of reference numbers that tests/golden compares with (default: tests/golden/data)",
    )
    parser.addoption("--kills", type=int, default=20, help="how often tests/torture kills a study (default: 20)")
    parser.addoption("--kill-seed", type=int, default=3, help="seed of the moments of these kills (default: 3)")


@pytest.fixture(autouse=True)
def empty_folder():
    """An empty current folder for every test: the results of the folder that pytest starts in are none of its own."""
    with tempfile.TemporaryDirectory(prefix="cassle-test-") as folder, contextlib.chdir(folder):
        yield


@pytest.fixture
def disk(tmp_path):
    """A small disk that the test may fill up."""
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.remove()
