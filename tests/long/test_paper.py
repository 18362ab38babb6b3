"""Every study of config/paper from data to tables and figures: one objective, two tasks, a narrow network, one epoch."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cassle.planning import plan_study
from cassle.settings import read_yaml
from tests.long.paper_data import build
from tests.workflow.conftest import REPOSITORY, Project, copy_of_the_project

PAPER = REPOSITORY / "config" / "paper"
NAMES = [Path(file).stem for file in read_yaml(PAPER / "all.yaml")["studies"]]
STREAMS = {"class5": "class2", "class10": "class3", "data5": "data2", "domain6": "domain2"}
OBJECTIVES = {"cifar100_methods": ["simclr", "supervised"]}
STRATEGIES = [
    "finetune",
    "er",
    "cassle",
    {"name": "cassle", "distillation": {"depth": 0}},
    {"name": "cassle", "space": "features"},
]
SHORT = {"name": "linear", "epochs": 2}
PROBES = {
    "linear": SHORT,
    **{name: {"name": name, "classifier": SHORT} for name in ("semi_1", "semi_10", "domain_aware", "transfer")},
}
CONFIG = {
    "backbone": "conv3-narrow",
    "training": {"epochs": 1, "batch_size": 48},
    "figures": ["results"],
    "execution": {"device": "cpu"},
}


def thin(values: dict, objectives: list[str]) -> dict:
    """Return a study, or a grid of one, with what is in the lists above and two or three tasks, and as it is else."""
    found = dict(values)
    if "streams" in found:
        cut = [(stream, *stream.split("-")) for stream in found["streams"]]
        found["streams"] = [f"{data_set}-{STREAMS[tasks]}" for _, data_set, tasks in cut if tasks in STREAMS]
    for key, kept in (("objectives", objectives), ("strategies", STRATEGIES)):
        if key in found:
            found[key] = [choice for choice in found[key] if choice in kept]
    if "probes" in found:
        found["probes"] = [PROBES.get(name, name) for name in found["probes"]]
    if "grids" in found:
        grids = [thin(grid, objectives) for grid in found["grids"]]
        found["grids"] = [grid for grid in grids if all(grid.get(key, True) for key in ("objectives", "strategies"))]
    return found


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """What is said on the command line beside the name of the file."""
    root = build(tmp_path_factory.mktemp("data"))
    data = {"imagenet100": {"root": "imagenet", "wnids": str(root / "imagenet100.txt")}}
    given = {**CONFIG, "data_root": str(root), "data": data}
    return ["--config", *(f"{key}={json.dumps(value) if isinstance(value, dict | list) else value}" for key, value in given.items())]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, words) -> Project:
    """All studies in one run, so that they share what they have in common."""
    project = copy_of_the_project(tmp_path_factory.mktemp("paper") / "project")
    for name in NAMES:
        file = project.folder / "config" / "paper" / f"{name}.yaml"
        file.write_text(yaml.safe_dump(thin(read_yaml(file), OBJECTIVES.get(name, ["simclr"])), sort_keys=False))
    code, said = project.run("--configfile", "config/paper/all.yaml", *words)
    assert code == 0, said
    return project


def test_it(finished):
    print(finished.folder)
