"""Image files for tests: small, each with a content of its own by default."""

import pickle
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from cassle.data.datasets.cifar import CIFAR10


def picture(name, size=(5, 4), mode="RGB"):
    """An image of (width, height) whose pixels follow from a name."""
    width, height = size
    channels = len(Image.new(mode, (1, 1)).getbands())
    rng = np.random.default_rng(zlib.crc32(str(name).encode(errors="surrogateescape")))
    pixels = rng.integers(256, size=(height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def write(path, size=(5, 4), mode="RGB", **options):
    """Write an image file, its folders too, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(path.as_posix()[-60:], size, mode).save(path, **options)
    return path


def write_classes(folder, classes, count, start=0, **options):
    """Write ``count`` PNG images per class folder and return their paths relative to the folder, sorted."""
    paths = [f"{name}/{place:03d}.png" for name in classes for place in range(start, start + count)]
    for path in paths:
        write(Path(folder) / path, **options)
    return paths


def write_cifar10(top, counts):
    """Write ``counts[half]`` images per class as PNG in class folders, and the same packed as torchvision has CIFAR-10.

    So ``top`` is the root of both datasets, ``folder`` and ``cifar10``.
    """
    names = [f"class {label}" for label in range(10)]
    batches = Path(top) / CIFAR10.batches
    batches.mkdir(parents=True)
    (batches / CIFAR10.names_file).write_bytes(pickle.dumps({CIFAR10.names_key: names}))
    for half, count in counts.items():
        paths = write_classes(Path(top) / half, names, count, size=(32, 32))
        pixels = np.stack([np.asarray(Image.open(Path(top) / half / path)) for path in paths])
        rows, labels = pixels.transpose(0, 3, 1, 2).reshape(len(paths), -1), np.repeat(np.arange(10), count)
        files = CIFAR10.files[half]
        for name, *batch in zip(files, *(np.array_split(array, len(files)) for array in (rows, labels)), strict=True):
            content = {"data": batch[0], CIFAR10.label_key: batch[1].tolist()}
            (batches / name).write_bytes(pickle.dumps(content))
