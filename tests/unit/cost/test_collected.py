"""Collected rows and tables in a folder of results that several studies share: which belong to a plan."""

import os

import pytest

from cassle.cost import estimate
from cassle.cost.estimate import COLLECTED, Job, counts, jobs_of
from cassle.plan import resolve, targets
from cassle.settings.reading import read_study

TINY = {
    "streams": ["digits-domain2"],
    "backbones": ["conv3-narrow"],
    "objectives": ["simclr"],
    "strategies": ["finetune", "cassle"],
    "probes": ["knn"],
    "training": {"epochs": 2, "batch_size": 512},
}


@pytest.fixture
def plan(monkeypatch):
    """A plan whose evaluations are done once their files exist."""
    for rule in ("probe_checkpoint", "probe_random_network"):
        monkeypatch.setitem(
            estimate.COSTLY, rule, lambda plan, rule, name, root: Job(rule, name, (root / name).is_file())
        )
    return resolve(read_study(TINY))


def write(root, files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def collect(plan, root):
    """Write a file in the place of everything that follows from evaluations, and return the number of these jobs."""
    files = [name for rule in COLLECTED for name in targets.jobs(plan)[rule]]
    write(root, files)
    return len(files)


def done(plan, root):
    return sum(number for rule, (_, number) in counts(jobs_of(plan, root)).items() if rule in COLLECTED)


def test_rows_and_tables_of_other_studies_are_not_those_of_a_plan(plan, tmp_path):
    every = collect(plan, tmp_path)
    assert done(plan, tmp_path) == 0
    write(tmp_path, plan.probe)
    os.utime(tmp_path / "results/runs.csv", (1, 1))
    assert done(plan, tmp_path) == 0
    os.utime(tmp_path / "results/runs.csv")
    assert done(plan, tmp_path) == every
    (tmp_path / next(iter(plan.probe))).unlink()
    assert done(plan, tmp_path) == 0


def test_rows_that_another_study_has_collected_since_hold_those_of_a_plan_as_well(plan, tmp_path):
    write(tmp_path, plan.probe)
    every = collect(plan, tmp_path)
    os.utime(tmp_path / "results/runs.csv")
    assert done(plan, tmp_path) == every
