"""Options of `cassle probe`."""

import pytest

from cassle.contracts.specs import Component
from cassle.core.errors import SettingsError
from cassle.data.streams import Stream
from cassle.plan.probes import spec_of_options


def spec_of(**given):
    usual = {
        "data": {},
        "checkpoint": "external.pt",
        "stream": None,
        "dataset": None,
        "probes": "knn",
        "backbone": "resnet18",
        "stem_padding": None,
        "image_size": None,
    }
    return spec_of_options(**{**usual, **given})


def test_an_external_backbone_is_described_completely():
    spec = spec_of(dataset="digits", stem_padding=2, image_size=32)
    assert spec.backbone == Component(name="resnet18", settings={"stem_padding": 2})
    assert spec.stream == Stream.parse("digits-all")
    assert (spec.image_size, spec.seed) == (32, 0)


def test_probes_are_names_or_a_list_of_choices():
    names = [part.label for part in spec_of(dataset="digits", probes="knn, linear_cached").probes]
    assert names == ["knn", "linear_cached"]
    choices = spec_of(dataset="digits", probes="[knn, {name: knn, k: 5}]").probes
    assert [part.label for part in choices] == ["knn", "knn~k=5"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give --dataset or --stream"),
        ({"backbone": None, "stem_padding": 2}, "describe a --backbone"),
        ({"backbone": None, "checkpoint": None}, "give --checkpoint FILE"),
        ({"backbone": "resnet19", "dataset": "digits"}, "did you mean 'resnet18'"),
        ({"backbone": "conv3", "dataset": "digits", "stem_padding": 2}, "unknown key 'stem_padding'"),
        ({"dataset": "digits", "probes": "[knn"}, "--probes is not a YAML list"),
        ({"dataset": "digits", "probes": "knm"}, "did you mean 'knn'"),
        (
            {"dataset": "digits", "probes": "[1]"},
            r"--probes \[1\]: give names, or mappings with a name, as in \[knn, {",
        ),
        ({"dataset": "digits", "probes": "[]"}, r"--probes \[\]: give names"),
        ({"dataset": "digits", "probes": "[{k: 5}]"}, "needs a 'name'"),
        (
            {"dataset": "digits", "image_size": -4},
            "--image_size -4: the side of an image is a number of pixels above 0",
        ),
        ({"dataset": "digits", "image_size": 0}, "--image_size 0: the side"),
        (
            {"stream": "digits-class5", "probes": "[{name: domain_aware, classifier: linear_cached}]"},
            "domain_aware~classifier=linear_cached does not suit digits-class5: its tasks are no domains",
        ),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        spec_of(**given)
