"""Datasets of image files: what prepare finds, refuses, leaves out and tells, and what training then reads."""

import os
import re
import shutil

import numpy as np
import pytest
import torch

from cassle.core.errors import DataError
from cassle.data.base import datasets, read_index, write_index
from cassle.data.decode import decode
from tests.unit.data.images import write, write_classes


def folder(root, **settings):
    return datasets.get("folder")(root=str(root), **settings)


@pytest.fixture
def birds(tmp_path):
    """Two classes with three training and two test images each, of one size."""
    for half, start, count in (("train", 0, 3), ("val", 3, 2)):
        write_classes(tmp_path / "birds" / half, ["tit", "wren"], count, start)
    return tmp_path / "birds"


BAD = {
    "train/tit/empty.jpg": (lambda path: path.touch(), "is empty (0 bytes)"),
    "train/tit/page.jpg": (lambda path: path.write_text("<html>"), "is no image that Pillow knows"),
    "train/wren/cut.png": (lambda path: path.write_bytes(write(path, (40, 40)).read_bytes()[:200]), "is damaged: "),
    "val/wren/gone.png": (lambda path: path.symlink_to("nowhere.png"), "is a link to nowhere"),
}


@pytest.fixture
def spoilt(birds):
    """The same with four more files that cannot be read."""
    for name, (spoil, _) in BAD.items():
        spoil(birds / name)
    return birds


def test_every_bad_image_is_named_with_what_is_wrong_and_what_to_do(spoilt):
    with pytest.raises(DataError) as error:
        folder(spoilt).index(None)
    said = str(error.value)
    assert said.startswith("folder has 4 images that cannot be used:\n")
    for name, (_, reason) in BAD.items():
        assert f"{spoilt}/{name} {reason}" in said
    assert "leave them out with data: {folder: {on_bad_image: skip}}" in said


def test_bad_images_are_left_out_if_asked_and_the_report_says_so(birds, spoilt):
    index = folder(spoilt, on_bad_image="skip").index(None)
    assert [len(index.train.paths), len(index.test.paths)] == [6, 4]
    assert not set(BAD) & {*index.train.paths, *index.test.paths}
    assert "**4 images left out**" in index.notes
    assert all(f"{spoilt}/{name} {reason}" in index.notes for name, (_, reason) in BAD.items())
    for name in BAD:
        (birds / name).unlink()
    assert folder(birds).index(None).fingerprint == index.fingerprint


def test_an_index_names_labels_domains_paths_and_contents(birds):
    index = folder(birds).index(None)
    assert (index.classes, index.domains, index.size) == (("tit", "wren"), ("images",), (4, 5))
    assert index.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert index.test.paths == tuple(f"val/{name}/00{place}.png" for name in ("tit", "wren") for place in (3, 4))
    assert not index.train.domains.any()
    assert len(set(index.train.digests.tolist())) == 6
    assert index.notes == ""


def test_a_moved_dataset_is_the_same_and_a_changed_one_is_not(birds, tmp_path):
    made = folder(birds).index(None).fingerprint
    shutil.copytree(birds, tmp_path / "moved")
    assert datasets.get("folder")(root="moved").index(tmp_path).fingerprint == made

    def change(act):
        shutil.rmtree(tmp_path / "changed", ignore_errors=True)
        shutil.copytree(birds, tmp_path / "changed")
        act(tmp_path / "changed")
        return folder(tmp_path / "changed").index(None).fingerprint

    changed = [
        change(lambda top: write(top / "train/tit/000.png")),
        change(lambda top: os.rename(top / "train/tit/000.png", top / "train/tit/0000.png")),
        change(lambda top: os.rename(top / "train/tit/000.png", top / "train/wren/0000.png")),
        change(lambda top: os.rename(top / "val/tit/003.png", top / "train/tit/003.png")),
    ]
    assert len({made, *changed}) == 5


def test_a_class_without_training_images_is_refused_by_name(birds):
    (birds / "train/robin").mkdir()
    with pytest.raises(DataError, match=r"folder: 1 classes have no training image: robin; add images, or remove"):
        folder(birds).index(None)


def test_a_class_that_lost_all_its_images_is_refused_too(birds):
    for path in (birds / "train/tit").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="1 classes have no training image: tit"):
        folder(birds, on_bad_image="skip").index(None)


def test_a_half_without_images_is_refused(birds):
    for path in birds.glob("val/*/*"):
        path.unlink()
    with pytest.raises(DataError, match="folder has no test images"):
        folder(birds).index(None)


def test_a_class_missing_from_the_test_images_is_told_of(birds):
    shutil.rmtree(birds / "val/tit")
    assert "* **1 classes have no test image**: tit" in folder(birds).index(None).notes


def test_a_file_in_both_halves_is_told_of_whatever_its_name(birds):
    shutil.copy(birds / "train/tit/001.png", birds / "val/tit/other name.png")
    notes = folder(birds).index(None).notes
    assert "**1 test images are training images too**" in notes
    assert "val/tit/other name.png = train/tit/001.png" in notes


def test_what_is_converted_ignored_or_of_another_size_is_counted(birds):
    write(birds / "train/tit/a.png", (9, 7), mode="L")
    write(birds / "train/tit/b.png", mode="L")
    write(birds / "train/tit/c.jpg", mode="CMYK")
    (birds / "val/tit/notes.txt").touch()
    index = folder(birds).index(None)
    assert index.size is None
    assert index.notes.splitlines() == [
        "* height from 4 to 7, width from 5 to 9 pixels",
        "* 1 images converted or turned when read: CMYK",
        "* 2 images converted or turned when read: gray",
        "* 1 files ignored, no images: .txt",
    ]


def test_images_of_one_size_are_loaded_as_they_are_decoded_in_the_order_of_the_index(birds, tmp_path):
    dataset = folder(birds)
    write_index(tmp_path / "index.npz", dataset.index(None))
    index = read_index(tmp_path / "index.npz")
    assert dataset.resident(index)
    for half in ("train", "test"):
        part, loaded = index.part(half), dataset.load(index, None, half)
        assert torch.equal(loaded.images, torch.stack([decode(birds / path) for path in part.paths]))
        assert loaded.images.is_contiguous()
        assert np.array_equal(loaded.labels.numpy(), part.labels)
        assert np.array_equal(loaded.domains.numpy(), part.domains)


def test_images_of_several_sizes_stay_in_their_files(birds):
    write(birds / "train/tit/large.png", (30, 20))
    dataset = folder(birds)
    index = dataset.index(None)
    assert not dataset.resident(index)
    with pytest.raises(DataError, match="the images of folder are too large or too different to be kept in memory"):
        dataset.load(index, None, "train")


def test_what_is_too_large_for_memory_is_told_by_the_dataset_alone(birds, monkeypatch):
    dataset = folder(birds)
    index = dataset.index(None)
    monkeypatch.setattr("cassle.data.base.RESIDENT_BYTES", 10 * 3 * 5 * 4)
    assert dataset.resident(index)
    monkeypatch.setattr("cassle.data.base.RESIDENT_BYTES", 10 * 3 * 5 * 4 - 1)
    assert not dataset.resident(index)


def test_images_that_are_not_the_prepared_ones_are_refused(birds):
    dataset = folder(birds)
    index = dataset.index(None)
    write(birds / "train/tit/001.png", (5, 4), mode="L")
    with pytest.raises(DataError, match=re.escape(f"{birds}/train/tit/001.png is not what it was when folder was")):
        dataset.load(index, None, "train")


@pytest.mark.parametrize("root", [None, "data"])
def test_a_dataset_of_unknown_place_says_how_to_give_it(root):
    with pytest.raises(DataError, match=r"where is folder\? Give the folder .*data_root.*DATA_DIR.*folder: \{root:"):
        datasets.get("folder")(root=root).index(None)


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=f"folder: there is no folder {tmp_path}/nowhere; put the files there, or"):
        datasets.get("folder")(root="nowhere").index(tmp_path)
    with pytest.raises(DataError, match=f"imagenet100: there is no folder {tmp_path}/imagenet100"):
        datasets.get("imagenet100")().index(tmp_path)
