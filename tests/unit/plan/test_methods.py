"""Objectives with their training and strategies: what marks a variant, and what a dry run refuses."""

import pytest

from cassle.core.errors import SettingsError
from cassle.objectives.base import Objective, objectives
from cassle.objectives.simclr import SimCLR
from tests.unit.plan.world import folders, plan


def test_settings_of_the_objective_mark_the_first_task_and_those_of_the_strategy_do_not():
    made = plan(objectives=[{"name": "simclr", "temperature": 0.5}], strategies=[{"name": "cassle", "weight": 2.0}])
    assert folders(made) == {
        "results/digits-domain3/conv3/simclr~temperature=0.5/first/seed0/task0",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task1",
        "results/digits-domain3/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task2",
    }


def test_settings_of_training_are_part_of_the_variant():
    assert any("simclr~epochs=2/" in folder for folder in folders(plan(training={"epochs": 2})))


def test_what_an_objective_says_of_its_training_counts_before_what_the_study_says_of_all():
    own = {"name": "simclr", "training": {"epochs": 2}}
    made = plan(objectives=[own], training={"epochs": 3, "batch_size": 32})
    trained = {(job.spec.training.epochs, job.spec.training.batch_size) for job in made.train.values()}
    assert trained == {(2, 32)}


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
        (
            {"objectives": ["wmse"], "training": {"loss_group": 32}},
            "wmse~loss_group=32: whitening_size 64 exceeds the 32 images that its loss gets; these are training.loss",
        ),
        ({"objectives": ["wmse"], "training": {"batch_size": 32}}, "whitening_size 64 exceeds the 32 images"),
        ({"objectives": ["byol"], "training": {"views": [{"size": 16}] * 3}}, "byol takes two views, not 3"),
        (
            {"objectives": ["swav"], "training": {"views": [{"size": size} for size in (12, 16, 16)]}},
            r"views of swav has sizes \[12, 16, 16\]: the first two, .* must be the largest and alike",
        ),
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
        (
            {"name": "cassle", "distillation": {"name": "whitened"}},
            "simclr: distillation 'whitened': 64 images cannot whiten vectors of size 64; set its eps above 0",
        ),
        ({"name": "pod", "stages": [0, 3]}, "there is no stage 3: those of the backbone are 0 to 2"),
        ({"name": "pod", "stages": [-1]}, "'stages.0' = -1: Input should be greater than or equal to 0"),
        ({"name": "pod+er", "pod": {"stages": [3]}}, "pod: there is no stage 3"),
        ({"name": "ewc", "gamma": 0.5}, "gamma 0.5 fades past information in variant: online only"),
    ],
)
def test_a_dry_run_refuses_strategies_that_cannot_work(strategy, message):
    with pytest.raises(SettingsError, match=message):
        plan(strategies=[strategy])


def test_pseudo_negatives_of_more_than_two_views_are_refused():
    with pytest.raises(SettingsError, match=r"pnr with simclr~views=multicrop: .* defined for two views, and .* has 8"):
        plan(strategies=["pnr"], training={"views": "multicrop"})


def test_information_of_batches_too_small_for_the_loss_is_refused():
    strategy = {"name": "ewc", "fisher_batch_size": 32}
    plan(strategies=[strategy])
    with pytest.raises(SettingsError, match="fisher_batch_size 32: whitening_size 64 exceeds the 32 images"):
        plan(objectives=["wmse"], strategies=[strategy])


def test_whitening_with_a_share_of_the_identity_takes_any_batch():
    plan(strategies=[{"name": "cassle", "distillation": {"name": "whitened", "eps": 0.1}}])


@pytest.mark.parametrize("execution", [{"device": "cpu", "processes": 2}, {"gpus": 4}])
def test_replayed_images_that_processes_cannot_share_evenly_are_refused(execution):
    strategy = {"name": "der", "replay_size": 33}
    plan(strategies=[strategy])
    with pytest.raises(SettingsError, match=r"der~replay_size=33 adds 33 replayed images .* [24] processes cannot"):
        plan(strategies=[strategy], execution=execution)
    plan(strategies=["lump", {"name": "er", "replay_size": 32}], execution=execution)


def test_a_network_whose_constructor_reads_values_is_refused_with_the_reason(monkeypatch):
    usual = SimCLR.__init__

    def reads(self, settings, backbone, num_classes):
        usual(self, settings, backbone, num_classes)
        next(backbone.parameters()).sum().item()

    monkeypatch.setattr(SimCLR, "__init__", reads)
    with pytest.raises(
        SettingsError, match=r"simclr on conv3 cannot be built without storage.*reads no tensor's values"
    ):
        plan(objectives=[{"name": "simclr", "output_dim": 77}])


def test_names_in_tables_tell_what_the_study_changes_of_objective_and_training():
    training = {"epochs": 2, "optimizer": {"lr": 0.01}, "views": "multicrop"}
    long = {"name": "swav", "temperature": 0.3, "training": {"optimizer": {"weight_decay": 0.5}}}
    names = plan(objectives=["swav", long], training=training).summary().names
    assert sorted(names.values()) == [
        "swav (epochs=2, lr=0.01, views=multicrop)",
        "swav (epochs=2, lr=0.01, weight_decay=0.5, views=multicrop, temperature=0.3)",
    ]


def test_a_change_that_changes_nothing_is_none():
    same = plan(preset="original", objectives=[{"name": "simclr"}], strategies=[{"name": "cassle", "weight": 1}])
    assert same.summary().names == {"cassle~teacher_batchnorm=batch": "cassle"}


@pytest.mark.parametrize(
    ("facts", "lacking"),
    [
        ({"loss": SimCLR.loss}, "class Mine lacks distillation = the name of a form"),
        ({"distillation": "mse"}, r"class Mine lacks the method loss\(outputs, batch\)"),
        ({}, "distillation .* and the method loss"),
    ],
)
def test_an_objective_that_lacks_what_every_one_gives_is_refused_before_anything_else(facts, lacking, monkeypatch):
    monkeypatch.setitem(objectives._entries, "mine", type("Mine", (Objective,), facts))
    with pytest.raises(SettingsError, match=lacking):
        plan(objectives=["mine"])
