"""CIFAR-10 in torchvision's pickles and the same images in class folders are one and the same, to the last number."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cassle.cli import main
from cassle.contracts.layout import index_file, split_file
from cassle.core.files import load_tensors
from cassle.data.facts import CIFAR10_USUAL
from cassle.data.splits import read_split
from cassle.plan import resolve
from cassle.settings.reading import read_study
from tests.unit.cli.by_hand import PLAN, write_plan
from tests.unit.data.images import write_cifar10

RECIPE = """
cifar10: &tiny
  source: a test
  epochs: 2
  batch_size: 20
  optimizer: {name: adamw, lr: 1.0e-3, weight_decay: 0.0, lr_per: null}
  schedule: {name: constant}
  classifier_lr: 1.0e-2
  objective: {hidden_dim: 16, output_dim: 8}
  views: [{size: 32}, {size: 32, solarize: 0.2}]
folder: *tiny
"""
MEAN, STD = map(list, CIFAR10_USUAL)
STREAMS = {"cifar10": {"name": "cifar10-class2"}, "folder": {"name": "folder-class2", "class_order": 5}}


def typed(dataset):
    """Type every verb of a run of two tasks with CaSSLe, and return its plan."""
    plan = resolve(
        read_study(
            {
                "streams": [STREAMS[dataset]],
                "objectives": ["simclr"],
                "strategies": ["cassle"],
                "backbones": ["conv3-narrow"],
                "probes": ["linear_cached", "knn", "online"],
                "recipes": "recipes",
                "data_root": "data",
                "data": {"folder": {"image_size": 32, "mean": MEAN, "std": STD}},
                "execution": {"device": "cpu"},
            }
        )
    )
    write_plan(plan)
    stream = next(iter(plan.train.values())).spec.stream
    assert main(["prepare", "--plan", PLAN, "--out", index_file(stream.index)]) == 0
    files = ["--index", index_file(stream.index), "--split", split_file(stream.name)]
    assert main(["split", "--plan", PLAN, *files[:2], "--out", files[3]]) == 0
    for folder in plan.train:
        assert main(["train", "--plan", PLAN, "--folder", folder]) == 0
    for file, job in plan.probe.items():
        checkpoint = ["--checkpoint", job.at.checkpoint] if job.at else []
        assert main(["probe", "--plan", PLAN, *files, *checkpoint, "--out", file]) == 0
    return plan, read_split(split_file(stream.name))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    top = tmp_path_factory.mktemp("same")
    write_cifar10(top / "data", {"train": 5, "test": 2})
    (top / "recipes").mkdir()
    (top / "recipes/simclr.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        plans = [typed(dataset) for dataset in STREAMS]
    return top, plans


def pairs(top, both, jobs):
    """The same file of both datasets, for every job of a plan."""
    (one, _), (other, _) = both
    found = list(zip(getattr(one, jobs), getattr(other, jobs), strict=True))
    assert len(found) > 1
    return [(top / first, top / second) for first, second in found]


def test_pickles_and_folders_are_split_alike(both):
    one, other = (made for _, made in both[1])
    assert one.classes == other.classes
    assert np.array_equal(one.train_task, other.train_task)
    assert np.array_equal(one.test_task, other.test_task)


def test_pickles_and_folders_train_the_same_network(both):
    for one, other in pairs(*both, "train"):
        first, second = (load_tensors(folder / "checkpoint.pt") for folder in (one, other))
        for room in ("model", "strategy"):
            assert first[room].keys() == second[room].keys()
            assert all(torch.equal(first[room][key], second[room][key]) for key in first[room])
        curves = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (one, other)]
        assert len(curves[0]) == 2
        assert curves[0] == curves[1]


def test_pickles_and_folders_are_probed_to_the_same_numbers(both):
    for one, other in pairs(*both, "probe"):
        first, second = (json.loads(Path(file).read_text())["accuracies"] for file in (one, other))
        assert first == second
        assert len(first) > 1
