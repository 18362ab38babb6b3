"""Images in files: where they are, how they are read, and what a clean view of one is."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cassle.core.errors import DataError
from cassle.data.base import Dataset, InMemory, Part
from cassle.data.file_images import FileImages, clean_box, clean_image, load_images

untimed = settings(deadline=None)
NAMES = ("a.png", "deep er/bär.png", os.fsdecode(b"caf\xe9.png"), "b.png")
SIDES = ((20, 30), (16, 16), (40, 18), (17, 17))


@pytest.fixture
def part(tmp_path):
    for place, (name, (height, width)) in enumerate(zip(NAMES, SIDES, strict=True)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(place).integers(256, size=(height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return Part(np.arange(4) % 2, np.zeros(4, dtype=np.int64), None, NAMES)


def test_every_image_is_found_under_its_name(tmp_path, part):
    images = FileImages(tmp_path, part, 16)
    assert len(images) == 4
    assert [images.path(place) for place in range(4)] == [tmp_path / name for name in NAMES]
    assert [tuple(images.image(place).shape[1:]) for place in range(4)] == list(SIDES)
    assert images.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_images_are_read_clean_in_the_order_asked_for(tmp_path, part, workers):
    images = FileImages(tmp_path, part, 16, workers)
    read = images.read(torch.tensor([2, 0, 1]))
    assert (read.dtype, read.shape) == (torch.uint8, (3, 3, 16, 16))
    assert torch.equal(read, torch.stack([clean_image(images.image(place), 16) for place in (2, 0, 1)]))
    assert images.to("cpu") is images


def test_an_image_of_the_right_size_is_left_as_it_is(tmp_path, part):
    images = FileImages(tmp_path, part, 16)
    assert torch.equal(images.read(torch.tensor([1]))[0], images.image(1))


def test_a_clean_view_is_pillows_resize_and_the_middle(tmp_path, part):
    image = FileImages(tmp_path, part, 14).image(0)  # 20 x 30, resized to 16 x 24
    resized = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((24, 16), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[:, 1:15, 5:19]
    assert (clean_image(image, 14).float() - expected.float()).abs().max() <= 1


@untimed
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
def test_a_clean_box_keeps_the_ratio_and_lies_inside(height, width, size):
    high, wide, top, left = clean_box(height, width, size)
    assert 0 <= top <= high - size
    assert 0 <= left <= wide - size
    assert min(high, wide) == (size if height == width == size else round(size * 256 / 224))
    assert abs(high * width - wide * height) < max(height, width)


def test_images_go_to_memory_if_their_dataset_says_so(tmp_path, part):
    class Birds(Dataset):
        name, image_size = "birds", 16

        def resident(self, index):
            return index.small

        def folder(self, root):
            return root

        def load(self, index, root, which):
            return InMemory(torch.zeros(1), torch.zeros(1), torch.zeros(1))

    class Listed:
        def __init__(self, small):
            self.small = small

        def part(self, which):
            return part

    assert isinstance(load_images(Birds(), Listed(True), tmp_path, "train", 16, 1), InMemory)
    files = load_images(Birds(), Listed(False), tmp_path, "test", 16, 2)
    assert (files.folder, files.size, files.workers, len(files)) == (tmp_path, 16, 2, 4)


def test_files_that_are_not_the_prepared_ones_are_noticed_before_any_is_used(tmp_path, part):
    class Birds(Dataset):
        name, image_size = "birds", 16

        def resident(self, index):
            return False

        def folder(self, root):
            return root

    class Listed:
        def part(self, which):
            return replace(part, digests=np.zeros(len(part.paths), dtype=np.uint64))

    with pytest.raises(DataError, match="is not what it was when birds was prepared"):
        load_images(Birds(), Listed(), tmp_path, "train", 16, 1)
