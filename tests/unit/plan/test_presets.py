"""The preset `original`: which settings it changes, for whom, and that what is set by hand counts before it."""

import pytest

from cassle.data.base import datasets
from cassle.nets.backbones.conv import Conv3
from cassle.nets.backbones.resnet import ResNet18
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.objectives.dino import DINO
from cassle.objectives.swav import SwAV
from cassle.plan import resolve
from cassle.plan.presets import (
    backbone_preset,
    data_preset,
    objective_preset,
    preset_of,
    strategy_preset,
    training_preset,
)
from cassle.settings.reading import read_study
from cassle.settings.recipe import Training
from cassle.strategies.base import strategies
from tests.unit.test_recipes import DATASETS

GRID = {"streams": ["digits-domain2"], "objectives": ["swav"], "strategies": ["finetune", "cassle"]}


def plan(**changes):
    return resolve(read_study({**GRID, **changes}))


def test_clean_changes_nothing():
    assert strategy_preset("default", "cassle") == {}
    assert objective_preset("default", SwAV) == {}
    assert backbone_preset("default", ResNet18, 32) == {}
    assert training_preset("default", "cifar100", "simclr", 256) == {}
    assert plan().summary().names == {}


def test_statistics_that_a_study_gives_count_before_the_presets():
    given = {"cifar100": {"statistics": "usual"}}
    assert data_preset("original", given)["cifar100"] == {"statistics": "usual"}
    assert data_preset("original", given)["imagenet100"] == {"statistics": "original"}
    assert data_preset("default", given) == given


def test_original_sets_every_switch_of_the_release():
    assert strategy_preset("original", "cassle") == {"teacher_batchnorm": "batch"}
    assert objective_preset("original", SwAV) == {"prototypes": "free"}
    assert backbone_preset("original", ResNet18, 32) == {"stem_padding": 2}
    assert training_preset("original", "cifar100", "simclr", 256)["online_batch"] == "shared"


def test_original_leaves_alone_what_has_no_such_switch():
    assert strategy_preset("original", "finetune") == {}
    assert objective_preset("original", DINO) == {}
    assert backbone_preset("original", Conv3, 16) == {}
    assert backbone_preset("original", ResNet18, 224) == {}
    assert "online_batch" not in training_preset("original", "imagenet100", "simclr", 256)


def test_what_is_set_by_hand_counts_before_the_preset():
    made = plan(
        preset="original",
        objectives=[{"name": "swav", "prototypes": "normalized"}],
        strategies=[{"name": "cassle", "teacher_batchnorm": "frozen"}],
    )
    assert made.train.keys() == plan(strategies=["cassle"]).train.keys()


def test_a_preset_is_in_the_settings_and_marks_the_path_like_any_setting():
    made = plan(preset="original")
    last = made.train["results/digits-domain2/conv3/swav~prototypes=free/cassle~teacher_batchnorm=batch/seed0/task1"]
    assert last.spec.strategy.settings["teacher_batchnorm"] == "batch"
    assert last.spec.objective.settings["prototypes"] == "free"
    by_hand = plan(
        objectives=[{"name": "swav", "prototypes": "free"}],
        strategies=["finetune", {"name": "cassle", "teacher_batchnorm": "batch"}],
    )
    assert {str(job.spec) for job in by_hand.train.values()} == {str(job.spec) for job in made.train.values()}


def test_tables_learn_which_labels_a_preset_made_and_which_presets_there_are():
    made = plan(preset="original", strategies=["cassle", {"name": "cassle", "weight": 2}]).summary()
    assert made.names == {
        "swav~prototypes=free": "swav",
        "cassle~teacher_batchnorm=batch": "cassle",
        "cassle~teacher_batchnorm=batch~weight=2.0": "cassle (weight=2)",
    }
    assert made.presets == ["original"]
    assert plan(grids=[{"preset": "original"}, {}]).summary().presets == ["default", "original"]


def test_a_variant_of_the_user_is_no_name_of_a_preset():
    assert "swav" not in plan(preset="original", training={"epochs": 2}).names.values()


@pytest.mark.parametrize(
    ("changes", "presets"),
    [
        ({}, {"default"}),
        ({"preset": "original"}, {"original"}),
        (
            {"preset": "original", "strategies": [{"name": "cassle", "teacher_batchnorm": "frozen"}]},
            {"original", "mixed"},
        ),
        ({"objectives": ["simclr"], "strategies": ["finetune"]}, {""}),
        ({"objectives": ["simclr"], "strategies": ["finetune"], "preset": "original"}, {""}),
    ],
)
def test_the_preset_of_a_run_is_read_off_its_settings(changes, presets):
    assert {preset_of(job.spec) for job in plan(**changes).train.values()} == presets


@pytest.mark.parametrize(
    ("statistics", "loss_group", "preset"),
    [
        ("usual", "global", "default"),
        ("original", 128, "original"),
        ("usual", 128, "mixed"),
        ("usual", 64, "mixed"),
        ("original", 64, "mixed"),
    ],
)
def test_a_value_that_is_neither_presets_is_mixed(statistics, loss_group, preset):
    given = {"streams": ["imagenet100-class5"], "objectives": ["simclr"], "strategies": ["finetune"]}
    data, training = {"imagenet100": {"statistics": statistics}}, {"loss_group": loss_group}
    assert {preset_of(job.spec) for job in plan(**given, data=data, training=training).train.values()} == {preset}


SIDES = (32, 224)
CLASSES = [registry.get(name) for registry in (strategies, objectives, datasets) for name in registry.names()]
ORIGINALS = [
    *((kind, kind.original) for kind in CLASSES),
    *((kind, kind.original(side)) for kind in map(backbones.get, backbones.names()) for side in SIDES),
]


@pytest.mark.parametrize(("kind", "original"), ORIGINALS)
def test_each_original_value_is_valid_and_differs_from_the_default(kind, original):
    assert not [key for key, value in original.items() if kind.Settings.model_fields[key].default == value]
    kind.Settings(**original)


def test_the_release_names_settings_of_the_training_that_exist():
    for name in datasets.names():
        assert set(datasets.get(name).original_training) <= set(Training.model_fields)


PLUGIN = """
from cassle.data.datasets.cifar import CIFAR100
from cassle.data.base import datasets
from cassle.objectives.base import objectives
from cassle.objectives.swav import SwAV
from cassle.strategies.base import TeacherStrategy, strategies

@objectives.register("mine")
class Mine(SwAV):
    original = {"prototypes": "free", "temperature": 0.2}
    original_loss = "per_gpu"

@strategies.register("near")
class Near(TeacherStrategy):
    pass

@datasets.register("photos")
class Photos(CIFAR100):
    name = "photos"
    original_training = {}
    original_gpu_batch = 64
"""
RECIPE = """
photos:
  source: this test
  epochs: 1
  batch_size: 256
  optimizer: {name: sgd, lr: 0.1}
  schedule: {name: cosine}
  classifier_lr: 0.1
  views: [{size: 32}, {size: 32}]
"""


def test_a_plugin_has_originals_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    kept = (objectives, strategies, datasets)
    entries = [{name: registry.get(name) for name in registry.names()} for registry in kept]
    grid = {"plugins": ["mine.py"], "streams": ["photos-class5"], "objectives": ["mine"], "strategies": ["near"]}
    with monkeypatch.context() as patch:
        for registry, own in zip(kept, entries, strict=True):
            patch.setattr(registry, "_entries", {**own})
        specs = [job.spec for job in resolve(read_study({**grid, "preset": "original"})).train.values()]
        assert {preset_of(spec) for spec in specs} == {"original"}
    last = specs[-1]
    assert last.objective.settings["temperature"] == 0.2
    assert last.strategy.settings["teacher_batchnorm"] == "batch"
    assert last.training.loss_group == 64
    assert last.stream.data["statistics"] == "original"
    training = last.training.model_copy(update={"loss_group": "global"})
    not_loaded = last.model_copy(update={"training": training})
    assert preset_of(not_loaded) == "original"  # by the keys that classes of this package have, too


def test_joined_strategies_get_the_preset_in_each_part():
    made = plan(preset="original", strategies=["cassle+er"], objectives=["simclr"])
    last = list(made.train.values())[-1]
    assert last.spec.strategy.settings["cassle"]["teacher_batchnorm"] == "batch"
    assert preset_of(last.spec) == "original"


def test_numbers_that_words_on_the_command_line_give_as_text_count_as_numbers():
    same = {"streams": ["imagenet100-class5"], "objectives": ["simclr"], "preset": "original"}
    for size, group in ((512, 128), (128, "global")):
        texts, numbers = (plan(**same, training={"batch_size": value}) for value in (str(size), size))
        assert texts.train == numbers.train
        assert {job.spec.training.loss_group for job in numbers.train.values()} == {group}


@pytest.mark.parametrize(("stream", "scale"), [("imagenet100-class5", 0.5), ("domainnet-domain6", 0.25)])
def test_gradients_of_barlow_twins_shrink_with_the_gpus_of_the_release(stream, scale):
    study = {"streams": [stream], "objectives": ["barlow_twins", "simclr"], "preset": "original"}
    specs = [job.spec for job in plan(**study).train.values()]
    scales = {(spec.objective.name, spec.training.gradient_scale) for spec in specs}
    assert scales == {("barlow_twins", scale), ("simclr", 1.0)}
    assert {preset_of(spec) for spec in specs} == {"original"}
    training = [spec.training.model_copy(update={"gradient_scale": 1.0}) for spec in specs]
    changed = [spec.model_copy(update={"training": one}) for spec, one in zip(specs, training, strict=True)]
    assert {preset_of(spec) for spec in changed if spec.objective.name == "barlow_twins"} == {"mixed"}


def test_every_dataset_of_the_release_has_recipes():
    kinds = map(datasets.get, datasets.names())
    named = {kind.name for kind in kinds if kind.original_training or kind.original_gpu_batch}
    assert named <= set(DATASETS)
