"""Names of studies from their values: readable where possible, and different for different values."""

import re
from itertools import combinations

import pytest

from cassle.settings.reading import name_of
from cassle.settings.study import LONGEST_STUDY, Study

CHOICES = {"streams": ["digits-domain2"], "objectives": ["simclr"], "strategies": ["cassle"]}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, ""),
        (CHOICES, "digits-domain2-simclr-cassle"),
        ({"seeds": [1], **CHOICES}, "digits-domain2-simclr-cassle-seed1"),
        ({**CHOICES, "strategies": ["finetune", "cassle"]}, "digits-domain2-simclr-finetune-cassle"),
        ({**CHOICES, "strategies": [{"name": "cassle", "weight": 0.5}]}, "digits-domain2-simclr-cassle-weight=0.5"),
        ({**CHOICES, "offline": True}, "digits-domain2-simclr-cassle-offline=true"),
        ({**CHOICES, "preset": "original"}, "digits-domain2-simclr-cassle-preset=original"),
        ({**CHOICES, "training": {"epochs": "2"}}, "digits-domain2-simclr-cassle-training.epochs=2"),
        ({**CHOICES, "execution": {"device": "cpu"}, "overwrite": True, "figures": []}, "digits-domain2-simclr-cassle"),
    ],
)
def test_a_name_has_what_determines_the_runs(values, name):
    assert name_of(values) == name


def test_other_words_make_other_names_that_a_folder_can_have():
    orders = [{"name": "digits-class2", "class_order": order} for order in ([0, 1], [1, 0], "a/b", " ", "größe")]
    views = [{"views": [{"size": size}]} for size in (8, 16)]
    others = [{"training": {"optimizer": {"lr": lr}}} for lr in (0.1, 0.2)]
    long = [{"seeds": list(range(60))}, {"seeds": list(range(59))}]
    studies = [*({"streams": [order]} for order in orders), *({"training": view} for view in views), *others, *long]
    names = [name_of({**CHOICES, **changes}) for changes in studies]
    assert all(one != other for one, other in combinations(names, 2))
    assert all(Study(name=name, **CHOICES).name == name for name in names)
    assert max(map(len, names)) == LONGEST_STUDY
    assert re.fullmatch(r"digits-domain2-simclr-cassle-training.views=-size-8-[0-9a-f]{10}", names[5])
