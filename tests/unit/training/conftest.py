"""A small world for training jobs: digits with two tasks, a narrow network, one epoch."""

from pathlib import Path

import pytest

from cassle.contracts.jobs import TrainJob
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.settings.site import Execution, Site
from cassle.training.task import TrainRequest
from tests.prepared import prepare_digits

STREAM = "digits-domain2"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Folder with index.npz of digits and split.npz of a stream of two domains."""
    return prepare_digits(tmp_path_factory.mktemp("prepared"), STREAM)


def planned(objective="simclr", strategy="cassle", **training) -> list[TrainJob]:
    """The two training jobs of one run, in order."""
    settings = {"epochs": 1, "batch_size": 256, **training}
    study = read_study(
        {
            "stream": STREAM,
            "backbone": "conv3-narrow",
            "objective": objective,
            "strategy": strategy,
            "training": settings,
        }
    )
    return list(resolve(study).train.values())


@pytest.fixture
def request_for(prepared, tmp_path):
    """Function from a job (and the checkpoint before it) to the request that trains it below tmp_path."""

    def make(
        job: TrainJob, previous: Path | None = None, folder: str | Path | None = None, **execution
    ) -> TrainRequest:
        site = Site(execution=Execution(**execution))
        place = tmp_path / (folder or job.folder)
        return TrainRequest(job.spec, site, prepared / "index.npz", prepared / "split.npz", place, previous)

    return make
