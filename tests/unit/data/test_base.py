"""Datasets: their index on disk, fingerprints, and images read by position."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from cassle.core.errors import DataError, SettingsError
from cassle.core.options import Options
from cassle.data.base import (
    Dataset,
    Index,
    InMemory,
    Part,
    content_fingerprint,
    datasets,
    declare,
    read_index,
    write_index,
)
from cassle.data.streams import Stream
from tests.unit.data.images import write_classes

untimed = settings(deadline=None)


def part(count=4, pixels=True, seed=0):
    rng = np.random.default_rng(seed)
    labels, domains = rng.integers(3, size=count), rng.integers(2, size=count)
    if pixels:
        return Part(labels, domains, rng.integers(256, size=(count, 3, 5, 4), dtype=np.uint8))
    return Part(labels, domains, None, tuple(f"bird & bär/{place}.jpg" for place in range(count)))


def made_index(pixels=True):
    train, test = part(4, pixels), part(2, pixels, seed=1)
    return Index("birds", ("a", "b", "ü"), ("real", "sketch"), train, test, content_fingerprint(train, test))


def same(one, other):
    return (
        np.array_equal(one.labels, other.labels)
        and np.array_equal(one.domains, other.domains)
        and one.paths == other.paths
        and (one.pixels is None) == (other.pixels is None)
        and (
            one.pixels is None or (one.pixels.dtype == other.pixels.dtype and np.array_equal(one.pixels, other.pixels))
        )
    )


@pytest.mark.parametrize("pixels", [True, False])
def test_an_index_is_read_as_it_was_written(tmp_path, pixels):
    index = made_index(pixels)
    write_index(tmp_path / "deep" / "index.npz", index)
    read = read_index(tmp_path / "deep" / "index.npz")
    assert replace(read, train=index.train, test=index.test) == index
    assert same(read.train, index.train)
    assert same(read.test, index.test)
    assert content_fingerprint(read.train, read.test) == index.fingerprint


def test_an_index_knows_its_halves_and_the_number_of_classes():
    index = made_index()
    assert index.part("train") is index.train
    assert index.part("test") is index.test
    assert index.num_classes == 3


def test_an_index_holds_no_path_of_the_machine_it_was_made_on(tmp_path):
    write_index(tmp_path / "index.npz", made_index(pixels=False))
    with np.load(tmp_path / "index.npz") as file:
        facts = json.loads(str(file["facts"]))
    assert set(facts) == {"dataset", "classes", "domains", "fingerprint", "size", "train_paths", "test_paths"}
    assert not any(Path(path).is_absolute() for path in facts["train_paths"] + facts["test_paths"])


def test_a_missing_index_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=f"there is no index {tmp_path / 'no.npz'}; make it with `cassle prepare`"):
        read_index(tmp_path / "no.npz")


def refused(path):
    with pytest.raises(DataError) as error:
        read_index(path)
    return (
        str(path) in str(error.value) and "delete it and" in str(error.value) and "`cassle prepare`" in str(error.value)
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_an_index_cut_short_is_refused_by_name(tmp_path, share):
    path = tmp_path / "index.npz"
    write_index(path, made_index())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path)


@pytest.mark.parametrize("member", ["facts.npy", "train_labels.npy", "test_pixels.npy"])
def test_an_index_with_other_bits_inside_is_refused_by_name(tmp_path, member):
    path = tmp_path / "index.npz"
    write_index(path, made_index())
    content = bytearray(path.read_bytes())
    start = content.find(member.encode()) + len(member) + 30
    content[start : start + 20] = bytes(byte ^ 0xFF for byte in content[start : start + 20])
    path.write_bytes(content)
    assert refused(path)


def write_garbage(path):
    path.write_bytes(b"neither an archive nor an array")


def write_pickle(path):
    path.write_bytes(pickle.dumps({"facts": 1}))


def write_objects(path):
    np.savez(path, facts=np.array({"dataset": "birds"}, dtype=object))


def write_other_arrays(path):
    np.savez(path, facts=np.array('{"stream": "digits-all"}'), train_task=np.zeros(3))


def write_facts_without_keys(path):
    zeros = np.zeros(1, dtype=np.int64)
    arrays = {f"{which}_{what}": zeros for which in ("train", "test") for what in ("labels", "domains")}
    np.savez(path, facts=np.array("[]"), **arrays)


def write_single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_folder(path):
    path.mkdir()


class Touch:
    """Unpickling this makes a file: a pickle that must not be trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_an_index_is_never_executed(tmp_path):
    path, proof = tmp_path / "index.npz", tmp_path / "executed"
    np.savez(path, facts=np.array([Touch(proof)], dtype=object))
    assert refused(path)
    assert not proof.exists()
    with np.load(path, allow_pickle=True) as file:
        assert len(file["facts"]) == 1
    assert proof.exists(), "the file was harmless, so this test shows nothing"


@pytest.mark.parametrize(
    "write",
    [
        write_garbage,
        write_pickle,
        write_objects,
        write_other_arrays,
        write_facts_without_keys,
        write_single_array,
        write_folder,
    ],
)
def test_a_file_of_another_kind_is_not_taken_for_an_index(tmp_path, write):
    path = tmp_path / "index.npz"
    write(path)
    assert refused(path)


@untimed
@given(st.integers(0, 99), st.sampled_from(["labels", "domains", "pixels"]), st.integers(0, 3))
def test_a_fingerprint_names_every_label_domain_and_pixel(seed, what, place):
    made = part(seed=seed)
    changed = getattr(made, what).copy()
    changed[place] += 1
    assert content_fingerprint(made) == content_fingerprint(part(seed=seed))
    assert content_fingerprint(replace(made, **{what: changed})) != content_fingerprint(made)


def test_a_fingerprint_names_paths_and_tells_the_halves_apart():
    made = part(pixels=False)
    renamed = replace(made, paths=(*made.paths[:-1], "other.jpg"))
    assert content_fingerprint(renamed) != content_fingerprint(made)
    one, other = part(seed=1), part(seed=2)
    assert content_fingerprint(one, other) != content_fingerprint(other, one)
    assert len(content_fingerprint(one)) == 16
    assert int(content_fingerprint(one), 16) >= 0


@untimed
@given(st.lists(st.integers(0, 3), max_size=9))
def test_images_are_read_by_position(positions):
    made = part()
    images = InMemory(*(torch.as_tensor(array) for array in (made.pixels, made.labels, made.domains)))
    read = images.read(torch.tensor(positions, dtype=torch.int64))
    assert len(images) == 4
    assert read.dtype == torch.uint8
    assert read.shape == (len(positions), 3, 5, 4)
    assert all(np.array_equal(image, made.pixels[place]) for image, place in zip(read.numpy(), positions, strict=True))


def test_images_keep_labels_and_domains_on_another_device():
    made = part()
    images = InMemory(*(torch.as_tensor(array) for array in (made.pixels, made.labels, made.domains)))
    moved = images.to("meta")
    assert {moved.images.device.type, moved.labels.device.type, moved.domains.device.type} == {"meta"}
    assert images.images.device.type == "cpu"


@pytest.fixture
def forgotten(monkeypatch):
    """Datasets declared in a test are forgotten after it."""
    datasets.names()
    monkeypatch.setattr(datasets, "_entries", dict(datasets._entries))


def test_a_folder_of_ones_own_is_a_dataset_with_a_name_of_its_own(tmp_path, forgotten):
    write_classes(tmp_path / "finches", ["a", "b"], 5)
    own = {"finches": {"kind": "folder", "image_size": 48}}
    declare(own)
    declare(own)
    stream = Stream.parse("finches-class2", own)
    dataset = stream.open(own)
    assert (dataset.name, dataset.image_size, stream.index) == ("finches", 48, "finches")
    assert stream.name == "finches-class2~image_size=48"
    index = dataset.index(tmp_path)
    assert (index.dataset, index.num_classes) == ("finches", 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"finches": {"kind": "foldre"}}, "there is no dataset 'foldre': did you mean 'folder'?"),
        ({"digits": {"kind": "folder"}}, "dataset 'digits' is one of its own, so it cannot be a folder"),
        (
            {"my-birds": {"kind": "folder"}},
            "dataset 'my-birds': a name has up to 64 small letters, digits and _",
        ),
    ],
)
def test_a_name_that_cannot_be_is_refused(data, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        declare(data)


class Birds(Dataset):
    class Settings(Options):
        resized: int = Field(32, description="side of the images")

    name = "birds"


def test_a_dataset_takes_typed_settings_of_its_own():
    assert Birds().settings.resized == 32
    assert Birds(resized=64).settings.resized == 64
    with pytest.raises(SettingsError, match=r"dataset birds: unknown key 'resize': did you mean 'resized'\?"):
        Birds(resize=64)
