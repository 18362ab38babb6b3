"""Whatever an image file holds, it becomes red, green and blue; what cannot be read is named with the reason."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets.folder import default_loader

from cassle.core.errors import DataError
from cassle.data.decode import decode, decode_bytes, read_rgb, shown
from tests.unit.data.images import picture, write


def rgb(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["png", "bmp", "ppm", "tif", "webp"]))
def test_a_lossless_color_image_is_read_pixel_for_pixel(tmp_path_factory, width, height, ending):
    path = tmp_path_factory.mktemp("image") / f"image.{ending}"
    made = picture("color", (width, height))
    made.save(path, **({"lossless": True} if ending == "webp" else {}))
    read = decode(path)
    assert read.dtype == torch.uint8
    assert read.shape == (3, height, width)
    assert read.is_contiguous()
    assert torch.equal(read, rgb(made))


def test_a_jpeg_is_read_as_the_original_reads_it(tmp_path):
    path = write(tmp_path / "image.jpg", (37, 23), quality=90)
    assert torch.equal(decode(path), rgb(default_loader(str(path))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(tmp_path, orientation):
    made = picture("turned", (6, 4))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "image.png"
    made.save(path, exif=exif)
    upright = rgb(made)
    turned = {
        1: upright,
        2: upright.flip(2),
        3: upright.rot90(2, (1, 2)),
        4: upright.flip(1),
        5: upright.transpose(1, 2),
        6: upright.rot90(-1, (1, 2)),
        7: upright.rot90(2, (1, 2)).transpose(1, 2),
        8: upright.rot90(1, (1, 2)),
    }
    assert torch.equal(decode(path), turned[orientation])
    assert decode_bytes(path.read_bytes(), path)[1] == ("turned" if orientation > 1 else "")


NO_HEADER = b"XX*\x00no TIFF header"
WORD_FOR_A_NUMBER = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x02\x00\x03\x00\x00\x00ab\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("exif", [NO_HEADER, WORD_FOR_A_NUMBER])
def test_broken_exif_data_leave_the_image_as_it_is(tmp_path, exif):
    made = picture("exif", (6, 4))
    made.save(tmp_path / "image.png", exif=exif)
    assert torch.equal(decode(tmp_path / "image.png"), rgb(made))


def test_gray_and_black_and_white_images_have_three_equal_channels(tmp_path):
    made = picture("gray", mode="L")
    for mode, kind in (("L", "gray"), ("1", "gray")):
        path = tmp_path / f"{mode}.png"
        made.convert(mode).save(path)
        read, said = decode_bytes(path.read_bytes(), path)
        assert said == kind
        assert (read == np.array(made.convert(mode).convert("L"))[..., None]).all()


def test_sixteen_bit_gray_keeps_its_upper_eight(tmp_path):
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    read, kind = decode_bytes((tmp_path / "deep.png").read_bytes(), "deep.png")
    assert kind == "16 bit"
    assert (read == (values >> 8)[..., None]).all()


def test_a_palette_is_looked_up(tmp_path):
    made = picture("palette").quantize(7)
    made.save(tmp_path / "image.png")
    assert torch.equal(decode(tmp_path / "image.png"), rgb(made.convert("RGB")))
    assert decode_bytes((tmp_path / "image.png").read_bytes(), "x")[1] == "palette"


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "alpha"), ("LA", "gray, alpha")])
def test_alpha_is_dropped_and_colors_beneath_it_stay(tmp_path, mode, kind):
    made = picture("alpha", mode=mode)
    made.save(tmp_path / "image.png")
    colors = np.array(made)[..., :3] if mode == "RGBA" else np.array(made)[..., :1]
    read, said = decode_bytes((tmp_path / "image.png").read_bytes(), "x")
    assert said == kind
    assert (read == colors).all()


def test_the_four_inks_become_colors(tmp_path):
    inks = Image.merge("CMYK", [Image.new("L", (16, 16), value) for value in (255, 0, 0, 0)])
    inks.save(tmp_path / "image.jpg", quality=100)
    read, kind = decode_bytes((tmp_path / "image.jpg").read_bytes(), "x")
    assert kind == "CMYK"
    assert np.abs(read.astype(int) - [0, 255, 255]).max() <= 2


def test_pixels_that_are_no_colors_are_refused(tmp_path):
    Image.fromarray(np.zeros((3, 3), dtype=np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(DataError, match=r"depth.tif has pixels of a kind that is not supported: F"):
        decode(tmp_path / "depth.tif")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_text("<html>not found</html>"), "is no image that Pillow knows"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "is damaged: "),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere.jpg")), "is a link to nowhere"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    ],
)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, spoil, reason, ending):
    path = write(tmp_path / f"image.{ending}", (40, 40))
    spoil(path)
    with pytest.raises(DataError, match=re.escape(f"{path} {reason}")):
        read_rgb(path)


def test_an_image_too_large_to_be_one_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "bomb.png", (50, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"bomb.png is damaged: .*decompression bomb"):
        decode(path)


def test_names_of_any_bytes_are_read_and_can_be_printed(tmp_path):
    for name in ("größe 猫.png", "caf\udce9.png"):
        path = write(tmp_path / name)
        assert decode(path).shape == (3, 4, 5)
        shown(path).encode()
    assert shown("caf\udce9.png") == "caf\\xe9.png"
