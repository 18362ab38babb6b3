"""Image files for tests: small, each with a content of its own unless told otherwise."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


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
