"""Snapshots of features: the images chosen, their labels and tasks, and that the features are the network's."""

import numpy as np
import pytest
import torch

from cassle.cli import main
from cassle.data.base import datasets, read_index
from cassle.data.streams import Stream
from cassle.data.views import clean_view
from cassle.evaluation.snapshot import SnapshotRequest, write_snapshot
from cassle.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from cassle.settings.site import Execution, Site
from cassle.training.build import build_model
from tests.unit.specs import provenance, train_specs

STREAM = "digits-class5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Index, split and an untrained checkpoint."""
    folder = tmp_path_factory.mktemp("snapshot")
    assert main(["prepare", "--dataset", "digits", "--out", str(folder / "index.npz")]) == 0
    words = ["--stream", STREAM, "--index", str(folder / "index.npz"), "--out", str(folder / "split.npz")]
    assert main(["split", *words]) == 0
    spec = train_specs(stream=STREAM, backbone="conv3-narrow", objective="simclr", strategy="finetune")[0]
    model = build_model(spec, 16, 10)
    save_checkpoint(folder / "checkpoint.pt", Checkpoint(model.state_dict(), {}, provenance(spec)))
    return folder


def snapshot(folder, images, out="features.npz"):
    files = [folder / name for name in ("index.npz", "split.npz", "checkpoint.pt", out)]
    write_snapshot(SnapshotRequest(Stream.parse(STREAM), Site(execution=Execution(device="cpu")), *files, images))
    return dict(np.load(folder / out))


def test_features_are_those_of_the_network_on_clean_test_images(folder):
    found = snapshot(folder, 7)
    index = read_index(folder / "index.npz")
    digits = datasets.get("digits")()
    test = digits.load(index, None, "test")
    chosen = torch.linspace(0, len(test) - 1, 7).round().long()
    checkpoint = load_checkpoint(folder / "checkpoint.pt")
    model = build_model(checkpoint.provenance.spec, 16, 10)
    model.load_state_dict(checkpoint.model)
    with torch.no_grad():
        images = clean_view(test.read(chosen), digits.image_size, digits.mean, digits.std)
        wanted = model.backbone.eval()(images)
    np.testing.assert_allclose(found["features"], wanted.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["labels"], test.labels[chosen])
    np.testing.assert_array_equal(found["tasks"], test.labels[chosen] // 2)


def test_all_images_are_taken_if_there_are_no_more(folder):
    found = snapshot(folder, 10**6)
    index = read_index(folder / "index.npz")
    assert len(found["features"]) == len(datasets.get("digits")().load(index, None, "test"))
    assert found["features"].dtype == np.float32
    assert found["labels"].dtype == found["tasks"].dtype == np.int64
