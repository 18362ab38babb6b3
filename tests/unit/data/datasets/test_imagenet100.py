"""ImageNet100 as its users have it: a hundred class folders, or a full ImageNet and a list."""

import re

import pytest

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import datasets
from cassle.data.facts import IMAGENET100_WNIDS
from cassle.data.streams import Stream
from tests.unit.data.images import picture

WNIDS = [f"n{2000000 + 37 * number:08d}" for number in range(120)]
CHOSEN = sorted(WNIDS[::-1][:100])


def imagenet100(**settings):
    return datasets.get("imagenet100")(**settings)


def build(top, wnids):
    """Write one training and one validation image per class; they share their content, which costs less time."""
    top.mkdir(exist_ok=True)
    source = top / "source.png"
    picture("source").save(source)
    for half, name in (("train", "{}_18.JPEG"), ("val", "ILSVRC2012_val_000{}.JPEG")):
        for wnid in wnids:
            folder = top / half / wnid
            folder.mkdir(parents=True)
            (folder / name.format(wnid)).symlink_to(source)
    return top


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A full ImageNet: more classes than a hundred."""
    return build(tmp_path_factory.mktemp("data") / "imagenet", WNIDS)


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    """The hundred classes alone, in the default folder below the data root."""
    return build(tmp_path_factory.mktemp("data") / "imagenet100", CHOSEN)


@pytest.fixture
def wnids(tmp_path):
    """A list as it goes round: unsorted, with an empty line at its end."""
    path = tmp_path / "imagenet100.txt"
    path.write_text("\n".join(CHOSEN[::-1]) + "\n\n")
    return str(path)


def test_a_label_is_the_place_of_the_wnid_in_sorted_order(hundred):
    index = imagenet100().index(hundred.parent)
    assert index.classes == tuple(CHOSEN)
    for part, half in ((index.train, "train"), (index.test, "val")):
        assert part.labels.tolist() == list(range(100))
        assert [path.split("/")[:2] for path in part.paths] == [[half, wnid] for wnid in CHOSEN]


def test_a_full_imagenet_and_the_list_are_the_same_dataset(hundred, full, wnids):
    picked = imagenet100(root=str(full), wnids=wnids).index(None)
    assert picked.fingerprint == imagenet100(root=str(hundred)).index(None).fingerprint
    assert picked.classes == tuple(CHOSEN)


def test_more_classes_than_a_hundred_and_not_the_papers_are_refused(full):
    with pytest.raises(DataError, match=r"train holds 120 class folders: neither a hundred, nor the paper's hundred"):
        imagenet100(root=str(full)).index(None)


def test_of_a_full_imagenet_the_papers_classes_are_taken(tmp_path):
    made = imagenet100(root=str(build(tmp_path, [*IMAGENET100_WNIDS, *WNIDS[:3]]))).index(None)
    assert made.classes == IMAGENET100_WNIDS
    assert "published" not in made.notes


def test_the_papers_list_has_a_hundred_classes_in_sorted_order():
    assert len(set(IMAGENET100_WNIDS)) == 100
    assert list(IMAGENET100_WNIDS) == sorted(IMAGENET100_WNIDS)
    assert (IMAGENET100_WNIDS[0], IMAGENET100_WNIDS[50], IMAGENET100_WNIDS[99]) == (
        "n01558993",
        "n02974003",
        "n13040303",
    )


def test_other_classes_than_the_papers_are_told_of(hundred):
    assert "published numbers are of others" in imagenet100().index(hundred.parent).notes


def test_the_papers_own_list_marks_no_result():
    given = {"imagenet100": {"wnids": list(IMAGENET100_WNIDS)}}
    assert Stream.parse("imagenet100-class5", given) == Stream.parse("imagenet100-class5")


def test_the_classes_are_part_of_a_results_identity_and_the_lists_place_is_not(wnids, tmp_path):
    moved = tmp_path / "elsewhere.txt"
    moved.write_text("\n".join(f"{wnid} some name" for wnid in CHOSEN))
    streams = [Stream.parse("imagenet100-class5", {"imagenet100": {"wnids": str(p)}}) for p in (wnids, moved)]
    assert streams[0] == streams[1]
    assert streams[0].data["wnids"] == CHOSEN
    moved.write_text("\n".join(WNIDS[:100]))
    other = Stream.parse("imagenet100-class5", {"imagenet100": {"wnids": str(moved)}})
    plain = Stream.parse("imagenet100-class5")
    assert len({stream.name for stream in (streams[0], other, plain)}) == 3
    assert len({stream.index for stream in (streams[0], other, plain)}) == 3
    assert streams[0].open({"imagenet100": {"wnids": "gone.txt"}}).wnids == CHOSEN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(WNIDS[:99]), "wnids must list 100 wnids such as n02869837, not 99 different ones"),
        ("\n".join([*WNIDS[:99], WNIDS[0]]), "not 99 different ones"),
        ("\n".join([*WNIDS[:99], "tench"]), "not 'tench'"),
        (None, "cannot read the list of wnids"),
    ],
)
def test_a_list_that_is_none_fails_before_anything_runs(tmp_path, text, message):
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)):
        imagenet100(wnids=str(tmp_path / "list.txt"))


def test_validation_images_in_one_heap_are_told_of(tmp_path):
    build(tmp_path, CHOSEN)
    for wnid in CHOSEN:
        folder = tmp_path / "val" / wnid
        for path in folder.iterdir():
            path.rename(tmp_path / "val" / path.name)
        folder.rmdir()
    with pytest.raises(DataError, match=re.escape(f"the classes should be folders in {tmp_path}/val, but there is no")):
        imagenet100(root=str(tmp_path)).index(None)


def test_a_class_that_one_half_lacks_is_named(tmp_path):
    build(tmp_path, CHOSEN)
    (tmp_path / "val" / CHOSEN[3]).rename(tmp_path / "val/n99999999")
    with pytest.raises(DataError, match=f"1 of the 100 classes have no folder in {tmp_path}/val: {CHOSEN[3]}"):
        imagenet100(root=str(tmp_path)).index(None)
    (tmp_path / "val" / CHOSEN[3]).mkdir()
    with pytest.raises(DataError, match=f"{tmp_path}/val has classes that training has not: n99999999"):
        imagenet100(root=str(tmp_path)).index(None)


def test_the_original_normalizes_red_with_another_width():
    assert imagenet100().std == (0.229, 0.224, 0.225)
    assert imagenet100(statistics="original").std == (0.228, 0.224, 0.225)
    assert imagenet100().mean == imagenet100(statistics="original").mean == (0.485, 0.456, 0.406)
