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
        (
            {"data_set": "digits", "probes": "[1]"},
            r"--probes \[1\]: give names, or mappings with a name, as in \[knn, {",
        ),
        ({"data_set": "digits", "probes": "[]"}, r"--probes \[\]: give names"),
        ({"data_set": "digits", "probes": "[{k: 5}]"}, "needs a 'name'"),
        (
            {"data_set": "digits", "image_size": -4},
            "--image_size -4: the side of an image is a number of pixels above 0",
        ),
        ({"data_set": "digits", "image_size": 0}, "--image_size 0: the side"),
        (
            {"stream": "digits-class5", "probes": "[{name: domain_aware, classifier: linear_cached}]"},
            "domain_aware~classifier=linear_cached does not suit digits-class5: its tasks are no domains",
        ),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        asked(**given)
