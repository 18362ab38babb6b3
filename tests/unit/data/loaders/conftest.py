"""A folder of small images of several sizes and kinds, as `FileImages`."""

import numpy as np
import pytest
import torch
from PIL import Image

from cassle.data.base import Part
from cassle.data.file_images import FileImages

COUNT = 23
SIZE = 16


def picture(place):
    """A smooth random image between 20 and 40 pixels high and wide."""
    rng = np.random.default_rng(place)
    coarse = Image.fromarray(rng.integers(256, size=(5, 5, 3), dtype=np.uint8))
    height, width = rng.integers(20, 41, size=2)
    return coarse.resize((int(width), int(height)), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("bird & bär")
    for place in range(COUNT):
        (made / f"class {place % 3}").mkdir(exist_ok=True)
        picture(place).save(made / name(place), quality=95)
    return made


def name(place):
    return f"class {place % 3}/{place}.{'png' if place % 2 else 'jpg'}"


@pytest.fixture
def images(folder):
    labels = np.arange(COUNT) % 3
    return FileImages(folder, Part(100 + labels, 0 * labels, None, tuple(map(name, range(COUNT)))), SIZE)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads of torch that wait for each other would take most of the time on images this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
