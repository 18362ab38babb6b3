"""Whatever can be wrong or odd about a file is found by each dataset of files, in exactly its real layout."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from cassle.core.errors import DataError
from cassle.data.base import Dataset, datasets
from cassle.data.file_images import FileImages
from tests.unit.data.datasets import test_domainnet, test_imagenet100
from tests.unit.data.images import picture, write, write_classes


@dataclass
class Reader:
    """A dataset of one image per class and half at least; images can be added to its first class."""

    name: str
    top: Path
    folders: dict[str, str]
    """Half -> folder of the first class."""
    settings: dict

    def dataset(self, **settings) -> Dataset:
        return datasets.get(self.name)(root=str(self.top), **self.settings, **settings)

    def add(self, half: str, name: str) -> Path:
        """Return where a new image belongs; a list names it, if the dataset has lists."""
        path = self.top / self.folders[half] / name
        if self.name == "domainnet":
            with (self.top / f"real_{half}.txt").open("a", errors="surrogateescape") as file:
                file.write(f"{path.relative_to(self.top)} 0\n")
        return path

    def remove(self, half: str) -> str:
        """Take all images of the first class out of a half, and return the name of the class."""
        folder = Path(self.folders[half])
        if self.name == "domainnet":
            file = self.top / f"real_{half}.txt"
            file.write_text("".join(line for line in file.open() if not line.endswith(" 0\n")))
        else:
            for path in (self.top / folder).iterdir():
                path.unlink()
        return folder.name


def folder(top):
    for half, start in (("train", 0), ("val", 1)):
        write_classes(top / half, ["tit", "wren"], 1, start)
    return {"train": "train/tit", "test": "val/tit"}, {}


def imagenet100(top):
    test_imagenet100.build(top, test_imagenet100.CHOSEN)
    first = test_imagenet100.CHOSEN[0]
    return {"train": f"train/{first}", "test": f"val/{first}"}, {}


def domainnet(top):
    top.mkdir()
    test_domainnet.build(top, ["real"])
    first = f"real/{test_domainnet.NAMES[0]}"
    return {"train": first, "test": first}, {"domains": ["real"]}


@pytest.fixture(params=[folder, imagenet100, domainnet], ids=lambda build: build.__name__)
def reader(request, tmp_path):
    return Reader(request.param.__name__, tmp_path / "data", *request.param(tmp_path / "data"))


def cut(path):
    path.write_bytes(write(path, (40, 40)).read_bytes()[:300])


BAD = {
    "cut short.jpg": (cut, "is damaged: "),
    "cut short.png": (cut, "is damaged: "),
    "empty.JPEG": (lambda path: path.touch(), "is empty (0 bytes)"),
    "page.jpg": (lambda path: path.write_text("<html>not found</html>"), "is no image that Pillow knows"),
    "link.jpg": (lambda path: path.symlink_to("nowhere.jpg"), "is a link to nowhere"),
}


@pytest.mark.parametrize("half", ["train", "test"])
def test_bad_images_are_named_with_what_is_wrong_and_can_be_left_out(reader, half):
    before = reader.dataset().index(None)
    places = {name: reader.add(half, name) for name in BAD}
    for name, (spoil, _) in BAD.items():
        spoil(places[name])
    with pytest.raises(DataError) as error:
        reader.dataset().index(None)
    assert f"{reader.name} has {len(BAD)} images that cannot be used:" in str(error.value)
    skipped = reader.dataset(on_bad_image="skip").index(None)
    for name, (_, reason) in BAD.items():
        assert f"{places[name]} {reason}" in str(error.value)
        assert f"{places[name]} {reason}" in skipped.notes
    assert skipped.fingerprint == before.fingerprint


ODD = {
    "gray.png": ({"mode": "L"}, "gray"),
    "palette.png": ({"mode": "P"}, "palette"),
    "inks.jpg": ({"mode": "CMYK"}, "CMYK"),
    "glass.png": ({"mode": "RGBA"}, "alpha"),
    "größe 猫.png": ({}, None),
    "caf\udce9.png": ({}, None),
}


def test_odd_images_and_names_are_read_as_color_and_counted(reader):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture("turned", (9, 4)).save(reader.add("train", "turned.jpg"), exif=exif)
    reader.add("train", "link.png").symlink_to(write(reader.top / "elsewhere.png"))
    for name, (options, _) in ODD.items():
        write(reader.add("train", name), **options)
    index = reader.dataset().index(None)
    for kind in ("turned", *(kind for _, kind in ODD.values() if kind)):
        assert f"* 1 images converted or turned when read: {kind}\n" in f"{index.notes}\n"
    own = {f"{reader.folders['train']}/{name}" for name in (*ODD, "turned.jpg", "link.png")}
    assert own <= set(index.train.paths)
    images = FileImages(reader.top, index.train, 8)
    for path in own:
        image = images.image(index.train.paths.index(path))
        assert image.shape == ((3, 9, 4) if path.endswith("turned.jpg") else (3, 4, 5))


def test_a_class_that_one_half_lacks_is_refused_or_told_of(reader):
    label = reader.remove("test")
    assert "classes have no test image**: " in reader.dataset().index(None).notes
    assert label in reader.dataset().index(None).notes
    if reader.name == "domainnet":
        reader.add("test", "domain.jpg").touch()
        write(reader.top / reader.folders["test"] / "domain.jpg")
    reader.remove("train")
    with pytest.raises(DataError, match=f"{reader.name}: 1 classes have no training image: {label}; add images, or"):
        reader.dataset().index(None)


def test_a_file_in_both_halves_is_told_of(reader):
    first, second = reader.add("train", "one.png"), reader.add("test", "other.png")
    shutil.copy(write(first), second)
    assert f"{second.relative_to(reader.top)} = {first.relative_to(reader.top)}" in reader.dataset().index(None).notes
