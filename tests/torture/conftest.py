"""One undisturbed study for all tests, and copies of it without the results of the second task."""

import shutil

import pytest

from tests.torture.study import ALL, Study


def pytest_terminal_summary(terminalreporter):
    """Print the seed and number of kills of each test, also of those that passed."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, text in report.user_properties:
            if name == "kills":
                terminalreporter.write_line(text)


@pytest.fixture
def kills(request):
    """Number of times that a study is killed."""
    return request.config.getoption("--kills")


@pytest.fixture
def kill_seed(request):
    """Seed of the random moments of the kills."""
    return request.config.getoption("--kill-seed")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The study, run without any kill."""
    study = Study(tmp_path_factory.mktemp("undisturbed") / "study").write()
    assert study.run() == 0, study.output()
    return study


@pytest.fixture
def study(undisturbed, tmp_path):
    """A copy without the results of one second task. Processes still running after the test are killed."""
    study = Study(tmp_path / "study")
    shutil.copytree(undisturbed.folder, study.folder, symlinks=True)
    shutil.rmtree(study.file("").parent.parent)
    (study.folder / ALL).unlink()
    yield study
    study.end()
