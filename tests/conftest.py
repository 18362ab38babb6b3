"""Options of the test run; pytest reads them only from a conftest that it loads at its start."""

from pathlib import Path

GOLDEN_DATA = Path(__file__).parent / "golden" / "data"


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=GOLDEN_DATA,
        help="folder of reference numbers that tests/golden compares with (default: tests/golden/data)",
    )
