"""The preset `original`: which settings it changes, for whom, and that what is set by hand counts before it."""

from itertools import product

import pytest

from cassle.data.base import datasets
from cassle.nets.backbones import resnet
from cassle.nets.backbones.conv import Conv3
from cassle.nets.backbones.resnet import ResNetSettings
from cassle.objectives.base import objectives
from cassle.objectives.dino import DINOSettings
from cassle.objectives.swav import SwAVSettings
from cassle.plan import resolve
from cassle.plan.presets import (
    CLEAN,
    DATA_SET,
    LOSS_GROUPS,
    OBJECTIVE,
    ONLINE_DATA_SETS,
    SMALL_IMAGE,
    SMALL_STEM,
    STRATEGY,
    backbone_preset,
    data_preset,
    objective_preset,
    preset_of,
    strategy_preset,
    training_preset,
)
from cassle.settings.reading import read_study
from cassle.settings.recipe import Training
from cassle.strategies.cassle import CassleSettings
from tests.unit.test_recipes import DATA_SETS

GRID = {"streams": ["digits-domain2"], "objectives": ["swav"], "strategies": ["finetune", "cassle"]}


def plan(**changes):
    return resolve(read_study({**GRID, **changes}))


def test_clean_changes_nothing():
    assert strategy_preset("default", "cassle") == {}
    assert objective_preset("default", SwAVSettings) == {}
    assert backbone_preset("default", ResNetSettings, 32) == {}
    assert training_preset("default", "cifar100", "simclr", 256) == {}
    assert plan().summary()["names"] == {}


def test_statistics_that_a_study_gives_count_before_the_presets():
    given = {"cifar100": {"statistics": "usual"}}
    assert data_preset("original", given)["cifar100"] == {"statistics": "usual"}
    assert data_preset("original", given)["imagenet100"] == {"statistics": "original"}
    assert data_preset("default", given) == given


def test_original_sets_every_switch_of_the_release():
    assert strategy_preset("original", "cassle") == {"teacher_batchnorm": "batch"}
    assert objective_preset("original", SwAVSettings) == {"prototypes": "free"}
    assert backbone_preset("original", ResNetSettings, 32) == {"stem_padding": 2}
    assert training_preset("original", "cifar100", "simclr", 256)["online_batch"] == "shared"


def test_original_leaves_alone_what_has_no_such_switch():
    assert strategy_preset("original", "finetune") == {}
    assert objective_preset("original", DINOSettings) == {}
    assert backbone_preset("original", Conv3.Settings, 16) == {}
    assert backbone_preset("original", ResNetSettings, 224) == {}
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
    assert last.spec["strategy"]["settings"]["teacher_batchnorm"] == "batch"
    assert last.spec["objective"]["settings"]["prototypes"] == "free"
    by_hand = plan(
        objectives=[{"name": "swav", "prototypes": "free"}],
        strategies=["finetune", {"name": "cassle", "teacher_batchnorm": "batch"}],
    )
    assert {job.key for job in by_hand.train.values()} == {job.key for job in made.train.values()}


def test_tables_learn_which_labels_a_preset_made_and_which_presets_there_are():
    made = plan(preset="original", strategies=["cassle", {"name": "cassle", "weight": 2}]).summary()
    assert made["names"] == {
        "swav~prototypes=free": "swav",
        "cassle~teacher_batchnorm=batch": "cassle",
        "cassle~teacher_batchnorm=batch~weight=2.0": "cassle (weight=2)",
    }
    assert made["presets"] == ["original"]
    assert plan(grids=[{"preset": "original"}, {}]).summary()["presets"] == ["default", "original"]


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


def test_the_values_without_the_preset_are_the_defaults_of_the_settings():
    kinds = (CassleSettings, SwAVSettings, ResNetSettings, Training, *(datasets.get(n).Settings for n in LOSS_GROUPS))
    fields = [{name: field.default for name, field in kind.model_fields.items()} for kind in kinds]
    for name, value in CLEAN.items():
        assert {held[name] for held in fields if name in held} == {value}


def test_every_switch_of_the_preset_has_a_value_without_it():
    pairs = product((*LOSS_GROUPS, *ONLINE_DATA_SETS), objectives.names())
    training = {key for pair in pairs for key in training_preset("original", *pair, batch_size=1024)}
    assert {*STRATEGY, *OBJECTIVE, *DATA_SET, *SMALL_STEM, *training} == {*CLEAN}


def test_the_small_stem_is_meant_for_the_same_images_here_and_in_the_network():
    assert SMALL_IMAGE == resnet.SMALL_IMAGE


def test_joined_strategies_get_the_preset_in_each_part():
    made = plan(preset="original", strategies=["cassle+er"], objectives=["simclr"])
    last = list(made.train.values())[-1]
    assert last.spec["strategy"]["settings"]["cassle"]["teacher_batchnorm"] == "batch"
    assert preset_of(last.spec) == "original"


def test_numbers_that_words_on_the_command_line_give_as_text_count_as_numbers():
    same = {"streams": ["imagenet100-class5"], "objectives": ["simclr"], "preset": "original"}
    for size, group in ((512, 128), (128, "global")):
        texts, numbers = (plan(**same, training={"batch_size": value}) for value in (str(size), size))
        assert texts.train == numbers.train
        assert {job.spec["training"]["loss_group"] for job in numbers.train.values()} == {group}


@pytest.mark.parametrize(("stream", "scale"), [("imagenet100-class5", 0.5), ("domainnet-domain6", 0.25)])
def test_gradients_of_barlow_twins_shrink_with_the_gpus_of_the_release(stream, scale):
    words = {"streams": [stream], "objectives": ["barlow_twins", "simclr"], "preset": "original"}
    specs = [job.spec for job in plan(**words).train.values()]
    scales = {(spec["objective"]["name"], spec["training"]["gradient_scale"]) for spec in specs}
    assert scales == {("barlow_twins", scale), ("simclr", 1.0)}
    assert {preset_of(spec) for spec in specs} == {"original"}
    changed = [{**spec, "training": {**spec["training"], "gradient_scale": 1.0}} for spec in specs]
    assert {preset_of(spec) for spec in changed if spec["objective"]["name"] == "barlow_twins"} == {"mixed"}


def test_every_dataset_that_the_preset_names_has_recipes():
    assert {*LOSS_GROUPS, *ONLINE_DATA_SETS} <= set(DATA_SETS)
