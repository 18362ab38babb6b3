"""Names as in papers, and what tables show for labels."""

import pytest

from cassle.contracts.summary import printed
from cassle.reporting.rows.names import shown_names

TITLES = {"simclr": "SimCLR", "barlow_twins": "Barlow Twins", "cassle": "CaSSLe", "er": "ER"}
BATCH = "cassle~teacher_batchnorm=batch"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("simclr", "SimCLR"),
        ("barlow_twins", "Barlow Twins"),
        ("cassle+er", "CaSSLe+ER"),
        ("simclr~epochs=2", "SimCLR (epochs=2)"),
        ("cassle+er~weight=2.0", "CaSSLe+ER (weight=2.0)"),
        ("cassle+er (weight=2, replay=mixed)", "CaSSLe+ER (weight=2, replay=mixed)"),
        ("my_method", "my_method"),
    ],
)
def test_labels_are_printed_as_in_papers_with_their_variant(label, shown):
    assert printed(label, TITLES) == shown


def strategies(labels, names, objectives=("simclr",)):
    """What is shown for strategies that are used with each of some objectives."""
    shown = shown_names([("conv3", objective, label) for objective in objectives for label in labels], names)
    return [shown[label] for label in labels]


def test_a_label_that_a_preset_made_is_shown_by_its_name_unless_another_has_it():
    names = {BATCH: "cassle"}
    assert strategies([BATCH, "finetune"], names) == ["cassle", "finetune"]
    assert strategies([BATCH, "cassle"], names) == [BATCH, "cassle"]


def test_names_may_change_places_with_labels():
    names = {BATCH: "cassle", "cassle": "cassle (teacher_batchnorm=frozen)"}
    assert strategies([BATCH, "cassle"], names) == ["cassle", "cassle (teacher_batchnorm=frozen)"]
    names |= {"cassle~other": "cassle (teacher_batchnorm=frozen)"}
    assert strategies([BATCH, "cassle", "cassle~other"], names) == [BATCH, "cassle", "cassle~other"]


def test_strategies_of_different_objectives_may_have_one_name_and_those_of_one_objective_not():
    names = {"cassle~1": "cassle (distillation=mse)", "cassle~2": "cassle (distillation=mse)"}
    apart = shown_names([("conv3", "simclr", "cassle~1"), ("conv3", "byol", "cassle~2")], names)
    assert (apart["cassle~1"], apart["cassle~2"]) == ("cassle (distillation=mse)",) * 2
    assert strategies(["cassle~1", "cassle~2"], names) == ["cassle~1", "cassle~2"]
    under_presets = [("conv3", "swav~prototypes=free", "cassle~1"), ("conv3", "swav", "cassle~2")]
    shown = shown_names(under_presets, {**names, "swav~prototypes=free": "swav"})
    assert shown == {label: label for row in under_presets for label in row}
