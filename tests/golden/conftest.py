"""Golden tests: each runs for the cases of the files in its table, which are read from ``--golden-dir``."""

import pytest

from .files import load, matches
from .precision import FLOAT32, FLOAT64


def pytest_configure(config):
    config.addinivalue_line("markers", "golden(*rows): run once per row and case of the golden file the row names")


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is not None:
        pairs = list(matches(metafunc.config.getoption("golden_dir"), marker.args))
        metafunc.parametrize(("row", "case_name"), pairs, ids=[f"{row.file}-{name}" for row, name in pairs])


@pytest.fixture
def golden(request):
    """Function that returns the cases of a file, such as ``steps/byol``, by name."""
    folder = request.config.getoption("golden_dir")
    return lambda name: load(folder, name)


@pytest.fixture
def case(golden, row, case_name):
    """Golden case of this test."""
    return golden(row.file)[case_name]


@pytest.fixture(params=[FLOAT64, FLOAT32], ids=lambda precision: precision.name)
def precision(request):
    """Floating-point type of the computation, with its tolerances."""
    return request.param
