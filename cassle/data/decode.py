"""Decoding of one image file to RGB, with an error message that names file and reason."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cassle.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

RGB = NDArray[np.uint8]
ORIENTATION = 0x0112
"""EXIF tag of the orientation."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> transposition that turns the image upright; none for 1 and invalid values."""
KINDS = {
    "RGB": "",
    "RGBX": "",
    "YCbCr": "",
    "L": "gray",
    "1": "gray",
    "P": "palette",
    "CMYK": "CMYK",
    "LA": "gray, alpha",
    "La": "gray, alpha",
    "PA": "palette, alpha",
    "RGBA": "alpha",
    "RGBa": "alpha",
}
"""Pillow's mode -> how a file differs from plain color."""


def shown(path: str | Path) -> str:
    """Return a path for messages; bytes that are no UTF-8 as escapes.

    >>> shown("caf\\udce9.jpg")
    'caf\\\\xe9.jpg'
    """
    return os.fsencode(path).decode(errors="backslashreplace")


def decode(path: str | Path) -> Tensor:
    """Return the image (3, H, W) uint8; `DataError` naming file and reason if it cannot be read.

    The EXIF orientation is honored. Gray, palette, 16-bit and CMYK images are converted; an alpha channel is dropped,
    as Pillow's and torchvision's conversions do, so transparent pixels have the color stored beneath.
    """
    import torch

    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1).contiguous()


def read_rgb(path: str | Path) -> RGB:
    """Return the image (H, W, 3) uint8, as `decode` does, without importing torch."""
    return decode_bytes(read_bytes(path), path)[0]


def read_bytes(path: str | Path) -> bytes:
    """Return a file's content; `DataError` if it is missing, unreadable or empty."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        link = "is a link to nowhere" if os.path.islink(path) else "does not exist"
        raise DataError(f"{shown(path)} {link}") from error
    except OSError as error:
        raise DataError(f"{shown(path)} cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{shown(path)} is empty (0 bytes)")
    return content


def decode_bytes(content: bytes, path: str | Path) -> tuple[RGB, str]:
    """Return the image (H, W, 3) uint8 of a file's content, and how it differs from plain color; ``path`` names it."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            kind = "16 bit" if image.mode.startswith("I;16") else KINDS[image.mode]
            turn = UPRIGHT.get(orientation(image))
            if turn is None:
                return _as_rgb(image), kind
            return _as_rgb(image.transpose(turn)), f"{kind}, turned".removeprefix(", ")
    except UnidentifiedImageError as error:
        raise DataError(f"{shown(path)} is no image that Pillow knows") from error
    except KeyError as error:
        raise DataError(f"{shown(path)} has pixels of a kind that is not supported: {error.args[0]}") from error
    except Exception as error:  # a damaged file can raise almost anything
        raise DataError(f"{shown(path)} is damaged: {error}") from error


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; that of an upright image where the EXIF data are missing or broken."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken EXIF data can raise almost anything, and the image is as good without them
        return 1


def _as_rgb(image: Image.Image) -> RGB:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.array(image.convert("RGB"))
