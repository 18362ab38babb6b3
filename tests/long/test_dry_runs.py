"""Dry runs of every file of config/paper, without any data."""

import re

import pytest

from cassle.cost.estimate import jobs_by_rule
from cassle.plan.request import Request, plan_study
from tests.workflow.conftest import REPOSITORY, copy_of_the_project, planned_jobs

PAPER = REPOSITORY / "config" / "paper"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A copy of the project without results."""
    return copy_of_the_project(tmp_path_factory.mktemp("fresh") / "project")


@pytest.mark.parametrize("name", sorted(file.stem for file in PAPER.glob("*.yaml")))
def test_snakemake_plans_what_cassle_plan_counts_and_the_target(fresh, name):
    file = PAPER / f"{name}.yaml"
    counted = jobs_by_rule(plan_study(Request({}, [str(file)])))
    code, output = fresh.run("-n", "--configfile", f"config/paper/{name}.yaml")
    assert code == 0, output
    assert planned_jobs(output) == counted
    (total,) = set(re.findall(r"^total +(\d+)$", output, re.MULTILINE))
    assert int(total) == sum(counted.values()) + 1
