"""Which files count as images, in which order, and what is passed over."""

import os
import re
from collections import Counter

import pytest
from torchvision.datasets import ImageFolder

from cassle.core.errors import DataError
from cassle.data.listing import images_under, subfolders
from tests.unit.data.images import write


def listed(top, folder):
    ignored = Counter()
    return images_under(top, folder, ignored), ignored


def test_files_come_in_the_order_of_torchvisions_image_folder(tmp_path):
    for name in ("b/2.png", "b/10.JPEG", "b/a/z.png", "b/B.png", "a/x.webp", "c/b/1.png", "c/a/2.png"):
        write(tmp_path / name)
    found = [
        path for folder in subfolders(tmp_path, "the classes") for path in images_under(tmp_path, folder, Counter())
    ]
    assert found == [os.path.relpath(path, tmp_path) for path, _ in ImageFolder(tmp_path).samples]


def test_hidden_files_are_passed_over_and_others_counted(tmp_path):
    write(tmp_path / "cat/1.png")
    for name in ("._1.png", ".DS_Store", "notes.txt", "labels.TXT", "README"):
        (tmp_path / "cat" / name).write_text("x")
    (tmp_path / "cat" / ".thumbs").mkdir()
    (tmp_path / ".git").mkdir()
    assert listed(tmp_path, "cat") == (["cat/1.png"], {".txt": 2, "README": 1})
    assert subfolders(tmp_path, "the classes") == ["cat"]


def test_links_to_files_and_folders_are_followed_and_circles_are_not(tmp_path):
    write(tmp_path / "elsewhere/photos/1.png")
    (tmp_path / "data/cat").mkdir(parents=True)
    (tmp_path / "data/cat/file.png").symlink_to(tmp_path / "elsewhere/photos/1.png")
    (tmp_path / "data/cat/more").symlink_to(tmp_path / "elsewhere/photos")
    (tmp_path / "data/cat/circle").symlink_to(tmp_path / "data/cat")
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere/photos")
    assert listed(tmp_path / "data", "cat")[0] == ["cat/file.png", "cat/more/1.png"]
    assert subfolders(tmp_path / "data", "the classes") == ["cat", "dog"]
    assert listed(tmp_path / "data", "dog")[0] == ["dog/1.png"]


def test_a_link_to_nowhere_is_listed_so_that_it_is_told_of(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.png").symlink_to("nowhere.png")
    assert listed(tmp_path, "cat")[0] == ["cat/1.png"]


def test_names_of_any_bytes_are_listed(tmp_path):
    for name in ("größe.png", "猫.png", "caf\udce9.png"):
        write(tmp_path / "ü" / name)
    assert sorted(listed(tmp_path, "ü")[0]) == sorted(["ü/größe.png", "ü/猫.png", "ü/caf\udce9.png"])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: None, "No such file or directory"),
        (lambda folder: folder.touch(), "Not a directory"),
        (lambda folder: write(folder / "1.png"), "but there is no folder in it"),
    ],
)
def test_a_place_without_folders_is_named(tmp_path, make, reason):
    make(tmp_path / "train")
    with pytest.raises(DataError, match=f"{re.escape(f'the classes should be folders in {tmp_path}/train')}.*{reason}"):
        subfolders(tmp_path / "train", "the classes")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(DataError, match=f"the folder {tmp_path}/cat cannot be listed: No such file"):
        listed(tmp_path, "cat")
