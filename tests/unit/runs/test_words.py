"""What `cassle probe` is asked in words."""

import pytest

from cassle.data.streams import Stream
from cassle.errors import SettingsError
from cassle.runs.words import described


def asked(**given):
    usual = {
        "data": {},
        "checkpoint": "foreign.pt",
        "stream": None,
        "data_set": None,
        "probes": "knn",
        "backbone": "resnet18",
        "stem_padding": None,
        "image_size": None,
    }
    return described(**{**usual, **given})


def test_a_foreign_backbone_is_described_completely():
    spec = asked(data_set="digits", stem_padding=2, image_size=32)
    assert spec["backbone"] == {"name": "resnet18", "settings": {"stem_padding": 2}}
    assert spec["stream"] == Stream.parse("digits-all").model_dump()
    assert (spec["image_size"], spec["seed"]) == (32, 0)


def test_probes_are_names_or_a_list_of_choices():
    names = [part["label"] for part in asked(data_set="digits", probes="knn, linear_cached")["probes"]]
    assert names == ["knn", "linear_cached"]
    choices = asked(data_set="digits", probes="[knn, {name: knn, k: 5}]")["probes"]
    assert [part["label"] for part in choices] == ["knn", "knn~k=5"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give --data_set or --stream"),
        ({"backbone": None, "stem_padding": 2}, "describe a --backbone"),
        ({"backbone": None, "checkpoint": None}, "give --checkpoint FILE"),
        ({"backbone": "resnet19", "data_set": "digits"}, "did you mean 'resnet18'"),
        ({"backbone": "conv3", "data_set": "digits", "stem_padding": 2}, "unknown key 'stem_padding'"),
        ({"data_set": "digits", "probes": "[knn"}, "--probes is not a YAML list"),
        ({"data_set": "digits", "probes": "knm"}, "did you mean 'knn'"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        asked(**given)
