"""Every step by hand: the verbs, in the order in which the workflow calls them."""

import pytest

from cassle.cli import main
from cassle.plan import resolve
from cassle.settings.reading import read_study
from tests.unit.cli.by_hand import INDEX, OVERRIDES, PLAN, SPLIT, TRAINING, TYPED, write_plan


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A folder in which every step of one run was typed by hand."""
    folder = tmp_path_factory.mktemp("by_hand")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["prepare", "--dataset", "digits", "--out", INDEX]) == 0
        assert main(["split", "--stream", "digits-domain2", "--index", INDEX, "--out", SPLIT]) == 0
        for task in (0, 1):
            assert main(["train", *TYPED, f"task={task}"]) == 0
        plan = resolve(read_study({**OVERRIDES, "name": "mine", "training": TRAINING, "probe": "knn"}))
        write_plan(plan)
        for file, probe in plan.probe.items():
            arguments = ["--plan", PLAN, "--index", INDEX, "--split", SPLIT, "--out", file]
            checkpoint = ["--checkpoint", probe.at.checkpoint] if probe.at else []
            assert main(["probe", *arguments, *checkpoint]) == 0
        assert main(["collect", "--out", "results/runs.csv"]) == 0
        study = "results/studies/mine/study.json"
        assert main(["study", "--plan", PLAN, "--out", study]) == 0
        what = ["--runs", "results/runs.csv", "--study", study, "--stream", "digits-domain2", "--probe", "knn"]
        assert main(["table", *what, "--out", "results/studies/mine/tables/digits-domain2/knn.md"]) == 0
        figure = "results/studies/mine/figures/digits-domain2/knn/bars.pdf"
        assert main(["figure", *what, "--name", "bars", "--out", figure]) == 0
    return folder


@pytest.fixture
def here(project, monkeypatch):
    """The same folder as the current one."""
    monkeypatch.chdir(project)
    return project
