"""Names as in papers, and which labels are those of a recipe as it is."""

import pytest

from cassle.reporting.names import plain, pretty, shown_names


@pytest.mark.parametrize(
    ("label", "printed"),
    [
        ("simclr", "SimCLR"),
        ("barlow_twins", "Barlow Twins"),
        ("cassle+er", "CaSSLe+ER"),
        ("simclr~epochs=2", "SimCLR (epochs=2)"),
        ("cassle+er~weight=2.0", "CaSSLe+ER (weight=2.0)"),
        ("my_method", "my_method"),
    ],
)
def test_labels_are_printed_as_in_papers_with_their_variant(label, printed):
    assert pretty(label) == printed


def test_a_variant_has_no_plain_name_unless_a_preset_made_it():
    assert plain("byol", {}) == "byol"
    assert plain("byol~epochs=2", {}) is None
    assert plain("cassle~teacher_batchnorm=batch", {"cassle~teacher_batchnorm=batch": "cassle"}) == "cassle"


def test_a_label_that_a_preset_made_is_shown_by_its_name_unless_another_has_it():
    names = {"cassle~teacher_batchnorm=batch": "cassle"}
    alone = shown_names(["cassle~teacher_batchnorm=batch", "finetune"], names)
    assert alone == {"cassle~teacher_batchnorm=batch": "cassle", "finetune": "finetune"}
    both = shown_names(["cassle~teacher_batchnorm=batch", "cassle"], names)
    assert both == {label: label for label in ("cassle~teacher_batchnorm=batch", "cassle")}
