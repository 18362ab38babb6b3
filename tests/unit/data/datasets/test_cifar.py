"""CIFAR in torchvision's layout: the same pixels and labels as torchvision reads, and what is said of broken files."""

import pickle
import re

import numpy as np
import pytest
import torch
import torchvision

from cassle.core.errors import DataError, SettingsError
from cassle.data.base import datasets
from cassle.data.datasets.cifar import CIFAR10, CIFAR100
from cassle.data.splits import split
from cassle.data.streams import Stream

KINDS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def build(top, kind, per_batch=20):
    """Write the batches that torchvision expects, with few images and every class in both halves."""
    rng = np.random.default_rng(kind.num_classes)
    folder = top / kind.batches
    folder.mkdir(parents=True)
    for names in kind.files.values():
        for name in names:
            count = max(per_batch, kind.num_classes)
            labels = [int(label) for label in rng.permutation(count) % kind.num_classes]
            batch = {"data": rng.integers(256, size=(count, 3072), dtype=np.uint8), kind.label_key: labels}
            batch |= {"coarse_labels": [0] * count} if kind is CIFAR100 else {}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    names = [f"class {label}" for label in range(kind.num_classes)]
    (folder / kind.names_file).write_bytes(pickle.dumps({kind.names_key: names}, protocol=2))
    return top


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def root(kind, tmp_path):
    return build(tmp_path / "data", kind)


def read_by_torchvision(kind, root, train, monkeypatch):
    """Read the files with torchvision's class, which otherwise takes none but the official ones."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *arguments: True)
    made = getattr(torchvision.datasets, kind.__name__)(root, train=train)
    return torch.from_numpy(made.data).permute(0, 3, 1, 2), made.targets, made.classes


def test_images_and_labels_are_those_that_torchvision_reads(kind, root, monkeypatch):
    dataset = kind()
    index = dataset.index(root)
    for which in ("train", "test"):
        images, labels, classes = read_by_torchvision(kind, root, which == "train", monkeypatch)
        loaded = dataset.load(index, root, which)
        assert torch.equal(loaded.images, images)
        assert loaded.labels.tolist() == index.part(which).labels.tolist() == labels
        assert not loaded.domains.any()
        assert index.classes == tuple(classes)


def test_the_index_names_contents_and_holds_no_image(kind, root):
    index = kind().index(root)
    assert index.size == (32, 32)
    assert kind().resident(index)
    for part in (index.train, index.test):
        assert part.pixels is None
        assert part.paths == ()
        assert len(set(part.digests.tolist())) == len(part.labels)


def test_a_changed_pixel_is_another_dataset_and_is_noticed(kind, root):
    index = kind().index(root)
    file = root / kind.batches / kind.files["test"][0]
    batch = pickle.loads(file.read_bytes())
    batch["data"][3, 1000] ^= 1
    file.write_bytes(pickle.dumps(batch))
    assert kind().index(root).fingerprint != index.fingerprint
    kind().load(index, root, "train")
    with pytest.raises(DataError, match=f"{kind.batches} is not what it was when {kind.name} was prepared"):
        kind().load(index, root, "test")


def test_a_test_image_that_is_trained_on_is_told_of(kind, root):
    train, test = (root / kind.batches / kind.files[which][-1] for which in ("train", "test"))
    batch, other = (pickle.loads(file.read_bytes()) for file in (train, test))
    other["data"][2] = batch["data"][5]
    test.write_bytes(pickle.dumps(other))
    assert "**1 test images are training images too**" in kind().index(root).notes


def relabel(kind, root, which):
    """Turn the images of the last class of a half into images of the first one."""
    for name in kind.files[which]:
        file = root / kind.batches / name
        batch = pickle.loads(file.read_bytes())
        batch[kind.label_key] = [label % (kind.num_classes - 1) for label in batch[kind.label_key]]
        file.write_bytes(pickle.dumps(batch))


def test_a_class_that_one_half_lacks_is_refused_or_told_of(kind, root):
    last = f"class {kind.num_classes - 1}"
    relabel(kind, root, "test")
    assert f"**1 classes have no test image**: {last}" in kind().index(root).notes
    relabel(kind, root, "train")
    with pytest.raises(DataError, match=f"{kind.name}: 1 classes have no training image: {last}; add images, or"):
        kind().index(root)


def test_the_files_are_downloaded_by_torchvision_where_they_are_not_there(kind, tmp_path, monkeypatch):
    asked = []

    def download(self, root, download):
        asked.append((root, download))
        build(root, kind)

    monkeypatch.setattr(f"torchvision.datasets.{kind.__name__}.__init__", download)
    assert len(kind().index(tmp_path).classes) == kind.num_classes
    assert len(kind().index(tmp_path).classes) == kind.num_classes
    assert asked == [(tmp_path, True)]


def test_a_download_that_fails_says_where_the_files_belong(kind, tmp_path, monkeypatch):
    def refuse(self, root, download):
        raise OSError("no route to host")

    monkeypatch.setattr(f"torchvision.datasets.{kind.__name__}.__init__", refuse)
    with pytest.raises(DataError) as error:
        kind().index(tmp_path)
    assert f"{kind.name} is not in {tmp_path} and cannot be downloaded: no route to host" in str(error.value)
    assert f"tar -xzf {kind.archive} -C {tmp_path}" in str(error.value)


def test_without_leave_to_download_the_missing_files_are_named(kind, root):
    (root / kind.batches / kind.names_file).unlink()
    with pytest.raises(
        DataError, match=re.escape(f"{root / kind.batches} lacks {kind.names_file}. Get {kind.archive}")
    ):
        kind(download=False).index(root)


def spoil_labels(batch, key):
    batch[key][0] = 100


def spoil_count(batch, key):
    batch[key].pop()


def spoil_pixels(batch, key):
    batch["data"] = batch["data"][:, :-1]


def spoil_key(batch, key):
    del batch[key]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_labels, "should be a number below"),
        (spoil_count, "should be a number below"),
        (spoil_key, "should be a number below"),
        (spoil_pixels, "'data' should be rows of 3072 bytes"),
    ],
)
def test_a_batch_that_is_none_is_named_with_what_is_wrong(kind, root, spoil, reason):
    file = root / kind.batches / kind.files["train"][-1]
    batch = pickle.loads(file.read_bytes())
    spoil(batch, kind.label_key)
    file.write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=f"{re.escape(str(file))} is damaged or something else: .*{reason}"):
        kind().index(root)


def test_a_batch_cut_short_or_without_names_is_named(kind, root):
    names = root / kind.batches / kind.names_file
    names.write_bytes(pickle.dumps({kind.names_key: ["one"]}))
    with pytest.raises(
        DataError, match=f"{names} is damaged or something else: no {kind.num_classes} {kind.names_key}"
    ):
        kind().index(root)
    build_again = pickle.dumps({kind.names_key: [str(label) for label in range(kind.num_classes)]})
    names.write_bytes(build_again)
    file = root / kind.batches / kind.files["test"][0]
    for content in (file.read_bytes()[:5000], b"", b"<html>not found</html>"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=re.escape(f"{file} is damaged or something else")):
            kind().index(root)


def test_the_class_order_of_the_paper_is_what_torch_draws_with_seed_5():
    for name in ("cifar10", "cifar100", "imagenet100"):
        facts = datasets.get(name)
        drawn = torch.randperm(facts.num_classes, generator=torch.Generator().manual_seed(5)).tolist()
        assert list(facts.class_order) == drawn


def test_the_tasks_of_cifar100_are_those_of_the_release(tmp_path):
    index = CIFAR100().index(build(tmp_path, CIFAR100))
    made = split(Stream.parse("cifar100-class5"), index)
    assert made.classes[0] == [11, 15, 20, 22, 23, 29, 30, 39, 42, 53, 55, 63, 64, 68, 69, 73, 78, 79, 81, 86]
    assert made.classes[4] == [9, 10, 21, 24, 26, 32, 33, 41, 43, 44, 47, 48, 56, 57, 65, 70, 88, 90, 93, 95]


def test_the_original_normalizes_both_with_the_statistics_of_the_first():
    assert CIFAR10().std == (0.2470, 0.2435, 0.2616)
    assert CIFAR100().mean == (0.5071, 0.4865, 0.4409)
    for kind in KINDS.values():
        original = kind(statistics="original")
        assert (original.mean, original.std) == ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261))


def test_only_what_determines_a_result_is_part_of_its_identity():
    usual = Stream.parse("cifar100-class5")
    assert usual.data == {"statistics": "usual"}
    assert Stream.parse("cifar100-class5", {"cifar100": {"root": "/data", "download": False}}) == usual
    original = Stream.parse("cifar100-class5", {"cifar100": {"statistics": "original"}})
    assert (usual.name, original.name) == ("cifar100-class5", "cifar100-class5~statistics=original")
    assert usual.index == original.index == "cifar100"
    with pytest.raises(SettingsError, match="dataset cifar100: unknown key 'statistic': did you mean 'statistics'"):
        Stream.parse("cifar100-class5", {"cifar100": {"statistic": "original"}})
