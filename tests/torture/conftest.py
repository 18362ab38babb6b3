"""One undisturbed study for all tests, and copies of it whose second task is undone."""

import shutil

import pytest

from tests.torture.study import ALL, Study


def pytest_terminal_summary(terminalreporter):
    """Say what was killed, how often and from which seed, also where all went well."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, words in report.user_properties:
            if name == "kills":
                terminalreporter.write_line(words)


@pytest.fixture
def kills(request):
    """How often a study is killed."""
    return request.config.getoption("--kills")


@pytest.fixture
def kill_seed(request):
    """The seed of the moments at which it is killed."""
    return request.config.getoption("--kill-seed")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The study, left alone."""
    study = Study(tmp_path_factory.mktemp("undisturbed") / "study").write()
    assert study.run() == 0, study.said()
    return study


@pytest.fixture
def study(undisturbed, tmp_path):
    """The study with the second task of one run undone; what a test leaves running is killed."""
    study = Study(tmp_path / "study")
    shutil.copytree(undisturbed.folder, study.folder, symlinks=True)
    shutil.rmtree(study.file("").parent.parent)
    (study.folder / ALL).unlink()
    yield study
    study.end()
