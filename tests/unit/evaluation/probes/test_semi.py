"""Semi-supervised evaluation: which labels are used, and that no others are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cassle.core.errors import SettingsError
from cassle.evaluation.probes.semi import Semi1, Semi10, stratified
from tests.unit.evaluation.made import evaluation

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(torch.tensor)


@given(LABELS, st.floats(0.001, 1))
def test_every_class_keeps_its_rounded_share_and_one_image_at_least(labels, fraction):
    chosen = stratified(labels, fraction)
    assert len(set(chosen.tolist())) == len(chosen)
    for label in set(labels.tolist()):
        own = int((labels == label).sum())
        assert int((labels[chosen] == label).sum()) == max(1, round(fraction * own))


@given(LABELS)
def test_all_labels_are_all_images_in_their_order(labels):
    assert stratified(labels, 1.0).tolist() == list(range(len(labels)))


def test_the_choice_is_the_same_for_every_run_and_random_within_a_class():
    labels = torch.zeros(1000, dtype=torch.int64)
    chosen = stratified(labels, 0.1)
    assert torch.equal(chosen, stratified(labels, 0.1))
    assert 350 < chosen.float().mean() < 650
    assert int((chosen < 500).sum()) in range(30, 70)


def test_the_choice_is_the_same_in_every_version():
    assert stratified(torch.arange(100) % 2, 0.06).tolist() == [11, 13, 42, 62, 95, 96]


@pytest.mark.parametrize(("probe", "share"), [(Semi1, 0.01), (Semi10, 0.1)])
def test_only_the_chosen_images_are_trained_on(separable, probe, share):
    train, labels, test, test_labels = separable
    wrong = labels.clone()
    chosen = stratified(labels, share)
    others = torch.ones(len(labels), dtype=torch.bool)
    others[chosen] = False
    train = train.clone()
    train[others] = float("nan")
    found = probe(classifier={"name": "knn", "k": 1}).scores(evaluation(train, wrong, test, 3))
    assert torch.equal(found.argmax(dim=1), test_labels)


def test_the_papers_recipe_is_the_default_and_settings_are_completed():
    settings = Semi10().settings
    assert (settings.fraction, settings.classifier["name"], settings.classifier["epochs"]) == (0.1, "linear", 100)
    assert Semi1().settings.fraction == 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 0}, "fraction"),
        ({"classifier": "linaer"}, "did you mean 'linear'"),
        ({"classifier": "online"}, "cannot be trained"),
        ({"classifier": "semi_1"}, "cannot be trained"),
        ({"classifier": {"epochs": 3}}, "needs a 'name'"),
        ({"classifier": {"name": "linear", "epoch": 3}}, "did you mean 'epochs'"),
    ],
)
def test_an_unknown_or_impossible_setting_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Semi1(**settings)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"classifier": "linear"}, {}),
        ({"classifier": {"name": "linear", "epochs": 100}}, {}),
        ({"classifier": {"name": "linear", "epochs": 5}, "fraction": 0.5}, {"fraction": 0.5, "classifier.epochs": 5}),
        ({"classifier": "linear_cached"}, {"classifier": "linear_cached"}),
        ({"classifier": {"name": "knn", "k": 5}}, {"classifier": "knn", "classifier.k": 5}),
    ],
)
def test_a_label_names_another_classifier_and_only_what_differs_from_its_own_defaults(settings, changes):
    assert Semi1(**settings).changes() == changes
