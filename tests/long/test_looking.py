"""Tables of an unfinished study, and figures of the features of its checkpoints."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.workflow.conftest import BIN, copy_of_the_project

STUDY = """
name: looked
streams: [digits-domain2]
backbones: [conv3-narrow]
objectives: [simclr]
strategies: [finetune, cassle]
probes: [knn]
features: [pca, tsne, cka]
training: {epochs: 1, batch_size: 512}
execution: {device: cpu}
"""
FOLDER = "results/studies/looked"
LOOKED = ("--configfile", "looked.yaml")
FIRST = "results/digits-domain2/conv3-narrow/simclr~batch_size=512~epochs=1/first/seed0/task0/checkpoint.pt"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_of_the_project(tmp_path_factory.mktemp("looked") / "project")
    (project.folder / "looked.yaml").write_text(STUDY)
    return project


def test_an_unfinished_study_can_be_inspected_and_resumes_unchanged(project):
    code, output = project.run(FIRST, f"{FOLDER}/study.json", *LOOKED)
    assert code == 0, output
    command = [f"{BIN}/cassle", "table", "--partial", FOLDER]
    done = subprocess.run(command, cwd=project.folder, env=project.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("missing") >= 4
    assert "0 of 2 runs finished" in (project.folder / FOLDER / "partial/report.html").read_text()
    planned = project.plan(*LOOKED)
    assert (planned["train_task"], planned["probe_checkpoint"], planned["extract_features"]) == (2, 3, 3)


def test_features_of_every_checkpoint_make_figures_and_are_on_the_page(project):
    code, output = project.run(*LOOKED)
    assert code == 0, output
    files = sorted(Path(project.folder / "results/digits-domain2").glob("*/*/*/seed0/task*/features/*.npz"))
    assert len(files) == 3
    shapes = {np.load(file)["features"].shape for file in files}
    assert [rows for rows, _ in shapes] == [718]
    page = (project.folder / FOLDER / "report.html").read_text()
    for figure in ("pca", "tsne", "cka"):
        assert (project.folder / FOLDER / f"features/digits-domain2/{figure}.png").stat().st_size > 2000
        assert f'alt="{figure}, digits-domain2"' in page
    code, output = project.run(*LOOKED)
    assert "Nothing to be done" in output
