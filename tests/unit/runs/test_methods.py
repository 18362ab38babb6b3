"""Objectives with their training and strategies: what marks a variant, and what a dry run refuses."""

import pytest

from cassle.errors import SettingsError
from tests.unit.runs.world import folders, plan


def test_settings_of_the_objective_mark_the_first_task_and_those_of_the_strategy_do_not():
    made = plan(objectives=[{"name": "simclr", "temperature": 0.5}], strategies=[{"name": "cassle", "weight": 2.0}])
    assert folders(made) == {
        "results/digits-domain3/conv3/simclr~temperature=0.5/first/seed0/task0",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task1",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task2",
    }


def test_settings_of_training_are_part_of_the_variant():
    assert any("simclr~epochs=2/" in folder for folder in folders(plan(training={"epochs": 2})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["bylo"]}, "there is no objective 'bylo': did you mean 'byol'"),
        ({"strategies": ["cassel"]}, "there is no strategy 'cassel': did you mean 'cassle'"),
        ({"objectives": [{"name": "simclr", "temprature": 0.1}]}, "unknown key 'temprature': did you mean 'temp"),
        ({"training": {"epoch": 3}}, "unknown key 'epoch': did you mean 'epochs'"),
        (
            {"training": {"loss_group": 32}, "strategies": [{"name": "cassle+er", "er": {"buffer_size": 40}}]},
            "adds 40 replayed images to a batch, which training.loss_group 32 does not divide",
        ),
        ({"training": {"optimizer": {"lr": "3e-4x"}}}, "YAML reads 3e-4 as text"),
        ({"strategies": [{"name": "cassle", "distillation": {"name": "contrastiv"}}]}, "did you mean 'contrastive'"),
        ({"objectives": ["byol"], "training": {"views": [{"size": 16}] * 3}}, "byol takes two views, not 3"),
    ],
)
def test_a_dry_run_refuses_objectives_and_trainings_that_cannot_work(changes, message):
    with pytest.raises(SettingsError, match=message):
        plan(**changes)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("cassle+", "there is no strategy ''"),
        ("er+der", "er and der both replay"),
        ({"name": "cassle", "teacher": "momentum"}, "SimCLR has no momentum network"),
        ({"name": "pnr", "distillation": {"name": "whitened"}}, "no pseudo-negatives for distillation 'whitened'"),
    ],
)
def test_a_dry_run_refuses_strategies_that_cannot_work(strategy, message):
    with pytest.raises(SettingsError, match=message):
        plan(strategies=[strategy])
