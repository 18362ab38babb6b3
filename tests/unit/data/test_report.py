"""What prepare writes for people."""

from dataclasses import replace

import numpy as np

from cassle.data.index import Index, Part
from cassle.data.report import as_lines, describe_index, in_both, without_test_images


def half(labels, domains, paths=(), digests=()):
    return Part(np.array(labels), np.array(domains), None, paths, np.array(digests, dtype=np.uint64))


TRAIN = half([0, 0, 1, 1], [0, 0, 0, 1], ("a", "b", "c", "d"), (11, 12, 13, 14))
TEST = half([0, 0], [1, 1], ("e", "caf\udce9"), (21, 13))
INDEX = Index("birds", ("wren", "tit\udce9"), ("real", "sketch"), TRAIN, TEST, "0" * 16, (5, 4), "* a note")


def test_counts_are_given_by_domain_and_by_class():
    lines = describe_index(INDEX).splitlines()
    assert lines[0] == "# birds"
    assert lines[2] == ("2 classes, 4 training and 2 test images, all 5x4 pixels; fingerprint `0000000000000000`.")
    for line in (
        "* a note",
        "| real | 3 | 0 |",
        "| sketch | 1 | 2 |",
        "| 0 | wren | 2 | 2 |",
        "| 1 | tit\\xe9 | 2 | 0 |",
    ):
        assert line in lines
    assert "of several sizes" in describe_index(replace(INDEX, size=None))


def test_classes_without_test_images_are_named():
    assert without_test_images(INDEX.classes, TEST) == ["**1 classes have no test image**: tit\\xe9"]
    assert without_test_images(INDEX.classes, TRAIN) == []


def test_the_same_content_in_both_halves_is_named():
    assert in_both(TRAIN, TEST) == ["**1 test images are training images too**:\n\n  - caf\\xe9 = c\n"]
    assert in_both(TRAIN, half([0], [0], ("e",), (1,))) == []
    without_paths = (replace(part, paths=()) for part in (TRAIN, TEST))
    assert "image 1 = image 2" in in_both(*without_paths)[0]


def test_long_lists_are_cut_and_say_so():
    assert as_lines(["a", "b", "c"], most=2) == "  - a\n  - b\n  and 1 more"
    assert as_lines(["a", "b"], most=2) == "  - a\n  - b"
