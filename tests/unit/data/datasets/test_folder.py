"""Any folder of images: its layouts, and a seeded split where there are no test images."""

import re
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import datasets
from cassle.data.datasets.cifar import CIFAR10
from cassle.data.datasets.folder import Folder
from cassle.data.splits import split
from cassle.data.streams import Stream
from tests.unit.data.images import write, write_cifar10, write_classes

untimed = settings(deadline=None)


def listed(root, **options):
    return Folder(root=str(root), **options).list_files(root)


def rows(files):
    return list(zip(files.paths, files.labels, files.domains, strict=True))


@pytest.mark.parametrize("name", ["val", "test"])
def test_test_images_have_a_folder_of_their_own(tmp_path, name):
    train = write_classes(tmp_path / "train", ["cat", "dog"], 2)
    test = write_classes(tmp_path / name, ["dog"], 1)
    made = listed(tmp_path)
    assert (made.classes, made.domains) == (("cat", "dog"), ("images",))
    assert rows(made.train) == [(f"train/{path}", place // 2, 0) for place, path in enumerate(train)]
    assert rows(made.test) == [(f"{name}/{test[0]}", 1, 0)]


def test_with_both_val_and_test_one_has_to_be_chosen(tmp_path):
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, ["cat"], 1)
    with pytest.raises(DataError, match=r"val and test; say which to test on: data: \{folder: \{test_folder: val\}"):
        listed(tmp_path)
    assert listed(tmp_path, test_folder="test").test.paths == ["test/cat/000.png"]


def test_a_class_that_only_the_test_images_have_is_refused(tmp_path):
    write_classes(tmp_path / "train", ["cat"], 1)
    write_classes(tmp_path / "val", ["cat", "cow"], 1)
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}/val has a class 'cow' that {tmp_path}/train has not")):
        listed(tmp_path)


def test_domains_hold_classes_and_may_lack_some(tmp_path):
    write_classes(tmp_path / "train/real", ["cat", "dog"], 1)
    write_classes(tmp_path / "train/art", ["dog"], 1)
    write_classes(tmp_path / "val/real", ["dog"], 1)
    made = listed(tmp_path, layout="domains")
    assert (made.classes, made.domains) == (("cat", "dog"), ("art", "real"))
    assert rows(made.train) == [
        ("train/art/dog/000.png", 1, 0),
        ("train/real/cat/000.png", 0, 1),
        ("train/real/dog/000.png", 1, 1),
    ]
    assert rows(made.test) == [("val/real/dog/000.png", 1, 1)]


def test_domains_are_cut_each_by_itself(tmp_path):
    for domain in ("art", "real"):
        write_classes(tmp_path / domain, ["cat", "dog"], 5)
    made = listed(tmp_path, layout="domains")
    for half, count in ((made.train, 4), (made.test, 1)):
        assert set(Counter(zip(half.labels, half.domains, strict=True)).values()) == {count}


def test_a_class_called_train_is_a_class(tmp_path):
    write_classes(tmp_path, ["bus", "train"], 5)
    assert listed(tmp_path).classes == ("bus", "train")


names = st.lists(st.text("abcdefgh0123", min_size=1, max_size=6), min_size=1, max_size=60, unique=True).map(sorted)
shares = st.floats(0.01, 0.99)


@untimed
@given(names, shares, st.integers(-3, 10**6))
def test_a_seeded_split_takes_its_share_of_a_class_and_every_image_once(images, share, seed):
    cut = Folder(root="/", test_share=share, split_seed=seed)._cut(images, "both")
    assert sorted(cut["train"] + cut["test"]) == images
    assert cut["train"] == sorted(cut["train"])
    assert cut["train"]
    assert abs(len(cut["test"]) - share * len(images)) <= 1
    assert cut["test"] or len(images) == 1
    assert cut == Folder(root="/", test_share=share, split_seed=seed)._cut(images[::-1], "both") | cut


@untimed
@given(names, st.integers(0, 99), st.text("xyz", min_size=1))
def test_another_image_moves_at_most_one_between_the_halves(images, seed, name):
    before = Folder(root="/", split_seed=seed)._cut(images, "both")
    after = Folder(root="/", split_seed=seed)._cut([*images, name], "both")
    assert len(set(before["test"]) ^ (set(after["test"]) - {name})) <= 1


def test_another_seed_is_another_split():
    images = [f"cat/{place}.png" for place in range(50)]
    cuts = {tuple(Folder(root="/", split_seed=seed)._cut(images, "both")["test"]) for seed in range(20)}
    assert len(cuts) == 20


def test_a_folder_is_planned_before_it_is_known_and_checked_when_it_is_split(tmp_path):
    write_classes(tmp_path, ["bus", "car", "van"], 4)
    index = datasets.get("folder")(root=str(tmp_path)).index(None)
    for text in ("folder-class3", "folder-data2", "folder-all"):
        assert split(Stream.parse(text), index).names
    for text, reason in (
        ("folder-class4", "folder has only 3 classes"),
        ("folder-domain2", "folder has 1 domains: images"),
    ):
        stream = Stream.parse(text)
        with pytest.raises(SettingsError, match=reason):
            split(stream, index)


def test_the_order_of_unknown_domains_is_checked_as_far_as_it_can_be(tmp_path):
    with pytest.raises(SettingsError, match="domain_order must name 2 different domains"):
        Stream.parse("folder-domain2", domain_order=["art"])
    with pytest.raises(SettingsError, match="write the number of tasks behind it, such as folder-domain5"):
        Stream.parse("folder-domain")
    for domain in ("art", "real"):
        write_classes(tmp_path / domain, ["cat"], 4)
    index = Folder(root=str(tmp_path), layout="domains").index(None)
    assert split(Stream.parse("folder-domain2", domain_order=["real", "art"]), index).names == ["real", "art"]
    with pytest.raises(SettingsError, match="folder has no domain 'reel': did you mean 'real'"):
        split(Stream.parse("folder-domain2", domain_order=["reel", "art"]), index)


def test_cifar_as_a_folder_is_the_same_stream_of_the_same_pixels(tmp_path):
    """Packed in the order of the sorted file list; the paper's order of classes is that of seed 5."""
    write_cifar10(tmp_path, {"train": 5, "test": 2})
    one, other = CIFAR10(root=str(tmp_path)), Folder(root=str(tmp_path), image_size=32)
    one_index, other_index = one.index(None), other.index(None)
    for half in ("train", "test"):
        packed, files = one.load(one_index, None, half), other.load(other_index, None, half)
        assert torch.equal(packed.images, files.images)
        assert torch.equal(packed.labels, files.labels)
    for text, options in (("class5", {"class_order": 5}), ("data3", {})):
        first = split(Stream.parse(f"cifar10-{text}"), one_index)
        second = split(Stream.parse(f"folder-{text}", **options), other_index)
        assert first.classes == second.classes
        assert np.array_equal(first.train_task, second.train_task)
        assert np.array_equal(first.test_task, second.test_task)


def test_size_and_statistics_are_settings():
    made = Folder(image_size=48, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    assert (made.image_size, made.mean, made.std) == (48, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    usual = Folder()
    assert (usual.image_size, usual.std) == (224, (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layuot": "domains"}, "dataset folder: unknown key 'layuot': did you mean 'layout'?"),
        ({"test_share": 1.0}, "'test_share' = 1.0"),
        ({"image_size": 0}, "'image_size' = 0"),
        ({"std": [0.2, 0.2, 0.0]}, "'std.2' = 0.0"),
        ({"mean": [0.5, 0.5]}, "'mean.2' is missing"),
        ({"on_bad_image": "ignore"}, "'on_bad_image' = 'ignore'"),
    ],
)
def test_impossible_settings_are_refused_by_name(options, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        Folder(**options)


def test_an_image_is_found_below_the_data_root(tmp_path):
    write(tmp_path / "mine/cat/1.png")
    write(tmp_path / "mine/cat/2.png")
    assert len(Folder(root="mine").index(tmp_path).train.paths) == 1
    assert len(Folder().index(tmp_path / "mine").train.paths) == 1
