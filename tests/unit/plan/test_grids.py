"""From a study to its plan: datasets and their settings, and the studies that come along."""

import yaml

from cassle.data.base import datasets
from cassle.plan import resolve
from cassle.settings.reading import read_study, read_yaml
from cassle.strategies.base import strategies
from tests.unit.plan.world import CONFIG, RECIPES, folders, plan


def cifar(tmp_path, **settings):
    """The plan of a study on CIFAR-10 with a recipe of its own."""
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    (tmp_path / "simclr.yaml").write_text(yaml.safe_dump({"cifar10": usual}))
    return plan(streams=["cifar10-class5"], recipes=str(tmp_path), offline=True, data={"cifar10": settings})


def test_settings_of_a_dataset_that_determine_results_reach_every_job_and_places_none(tmp_path):
    usual, moved = cifar(tmp_path), cifar(tmp_path, root="/elsewhere", download=False)
    assert {folder: job.spec for folder, job in usual.train.items()} == {f: j.spec for f, j in moved.train.items()}
    other = cifar(tmp_path, statistics="original")
    assert not folders(usual) & folders(other)
    assert not set(usual.probe) & set(other.probe)
    assert all(job.spec.stream.data == {"statistics": "original"} for job in other.train.values())
    assert "results/cifar10-all~statistics=original/resnet18/simclr/first/seed0/task0" in folders(other)


def test_two_folders_of_images_are_two_datasets_with_the_recipe_of_a_folder(tmp_path, monkeypatch):
    datasets.names()
    monkeypatch.setattr(datasets, "_entries", dict(datasets._entries))
    usual = yaml.safe_load((RECIPES / "simclr.yaml").read_text())["digits"]
    (tmp_path / "simclr.yaml").write_text(yaml.safe_dump({"folder": usual}))
    data = {"finches": {"kind": "folder", "root": "/a"}, "ducks": {"kind": "folder", "root": "/b"}}
    made = plan(streams=["finches-class2", "ducks-domain3"], recipes=str(tmp_path), data=data)
    assert {job.at.stream for job in made.train.values()} == {"finches-class2", "ducks-domain3"}
    assert {stream.index for stream in made.streams.values()} == {"finches", "ducks"}


def test_the_ablations_share_every_job_of_the_default_study():
    default, ablations = (resolve(read_study(read_yaml(CONFIG / name))) for name in ("config.yaml", "ablations.yaml"))
    assert default.train.items() <= ablations.train.items()
    assert default.probe.items() <= ablations.probe.items()


def test_the_study_of_cifar10_is_whole_and_can_be_made_small_by_words():
    small = {"backbone": "conv3", "training": {"epochs": 10}}
    for changes, backbone in (({}, "resnet18"), (small, "conv3")):
        made = resolve(read_study({**read_yaml(CONFIG / "cifar10.yaml"), **changes}))
        assert len(made.train) == 2 * (1 + 2 * 4 + 1)
        assert {job.spec.backbone.name for job in made.train.values()} == {backbone}


def test_the_study_of_all_strategies_has_each_of_them():
    study = read_study(read_yaml(CONFIG / "strategies.yaml"))
    names = [choice if isinstance(choice, str) else choice["name"] for choice in study.strategies]
    ours = {name for name in strategies.names() if strategies.get(name).__module__.startswith("cassle.")}
    assert {part for name in names for part in name.split("+")} == ours
    assert resolve(study).memory
