"""Backbones in files of other software: found by their keys, read strictly, nothing in the file executed."""

import argparse
import collections

import numpy as np
import pytest
import torch
import torchvision

from cassle.errors import CheckpointError
from cassle.evaluation.foreign import load_foreign, read_foreign
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.nets.backbones.resnet import ResNet18, ResNetSettings
from cassle.options import Options


@pytest.fixture
def network():
    """A small network in the place of the other software's, with statistics of its own."""
    torch.manual_seed(1)
    made = Conv3Narrow(8, Options())
    made(torch.randn(4, 3, 8, 8))
    made.fc = torch.nn.Linear(32, 10)
    return made.eval()


@pytest.fixture
def backbone():
    torch.manual_seed(2)
    return Conv3Narrow(8, Options()).eval()


def renamed(network, prefix):
    return {prefix + key: value for key, value in network.state_dict().items() if not key.startswith("fc.")}


def written(tmp_path, value):
    torch.save(value, tmp_path / "foreign.pt")
    return tmp_path / "foreign.pt"


def same_features(network, backbone):
    images = torch.randn(2, 3, 8, 8)
    return torch.equal(network(images), backbone(images))


def test_torchvisions_resnet_gives_its_own_features(tmp_path):
    torch.manual_seed(1)
    theirs = torchvision.models.resnet18()
    ours = ResNet18(96, ResNetSettings()).eval()
    load_foreign(written(tmp_path, theirs.state_dict()), ours)
    theirs.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(ours(images), theirs.eval()(images))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (lambda n: n.state_dict(), "left out: 2 others (fc: 2)"),
        (lambda n: {"state_dict": renamed(n, "backbone."), "epoch": 3}, "under 'backbone.'"),
        (lambda n: {"state_dict": renamed(n, "encoder.") | renamed(n, "momentum_encoder.")}, "momentum_encoder: 18"),
        (lambda n: {"model": renamed(n, "module.encoder_q.")}, "under 'module.encoder_q.'"),
    ],
    ids=["plain", "solo-learn", "original", "distributed"],
)
def test_the_backbone_is_found_under_its_prefix_and_the_rest_is_named(tmp_path, capsys, network, backbone, shape, said):
    load_foreign(written(tmp_path, shape(network)), backbone)
    assert said in capsys.readouterr().out
    assert same_features(network, backbone)


def test_the_momentum_copy_is_not_taken_for_the_network(tmp_path, network, backbone):
    other = {key: torch.zeros_like(value) for key, value in renamed(network, "momentum_encoder.").items()}
    load_foreign(written(tmp_path, {"state_dict": other | renamed(network, "encoder.")}), backbone)
    assert same_features(network, backbone)


class Config:
    """A class of settings that only the software that wrote the file knows."""

    def __init__(self):
        self.lr = 0.3


def test_a_pickled_lightning_checkpoint_is_read_without_its_objects(tmp_path, network, backbone):
    value = {
        "state_dict": renamed(network, "encoder."),
        "hyper_parameters": argparse.Namespace(lr=0.3, split=np.float64(0.5)),
        "callbacks": {Config: {"best": np.array([1.0]), "seen": collections.defaultdict(list)}},
        "config": Config(),
    }
    path = written(tmp_path, value)
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path, weights_only=True)
    load_foreign(path, backbone)
    assert same_features(network, backbone)


class Trap:
    """Writes a file as soon as somebody unpickles it."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_nothing_in_a_file_is_executed(tmp_path, network):
    path = written(tmp_path, {"state_dict": renamed(network, ""), "trap": Trap(tmp_path / "sprung")})
    assert set(read_foreign(path)["state_dict"]) == set(renamed(network, ""))
    assert not (tmp_path / "sprung").exists()


def test_counters_that_old_files_lack_are_no_reason_to_refuse(tmp_path, network, backbone):
    tensors = {k: v for k, v in renamed(network, "").items() if not k.endswith("num_batches_tracked")}
    load_foreign(written(tmp_path, tensors), backbone)
    assert same_features(network, backbone)


def lacking(tensors, key):
    return {k: v for k, v in tensors.items() if k != key}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            lambda n: lacking(renamed(n, "encoder."), "encoder.blocks.0.1.bias"),
            r"1 of its 15 .*: encoder.blocks.0.1.bias",
        ),
        (lambda n: renamed(n, "") | {"blocks.0.0.weight": torch.zeros(8, 3, 7, 7)}, r"\(8, 3, 7, 7\) there"),
        (lambda n: {"layer.weight": torch.zeros(2)}, "the file has layer: 1. Is it another backbone"),
        (lambda n: {"epoch": 3}, "holds no state dict"),
        (lambda n: renamed(n, "a.") | renamed(n, "b."), "several such backbones, under a., b."),
    ],
    ids=["missing", "shape", "other", "none", "several"],
)
def test_a_file_that_does_not_hold_the_backbone_says_what_differs(tmp_path, network, backbone, shape, message):
    with pytest.raises(CheckpointError, match=message):
        load_foreign(written(tmp_path, shape(network)), backbone)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.ckpt"):
        read_foreign(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_foreign(tmp_path / "none.pt")


def test_the_fingerprint_names_the_tensors_and_not_the_file(tmp_path, network, backbone):
    first = load_foreign(written(tmp_path, renamed(network, "")), backbone)
    assert load_foreign(written(tmp_path, {"state_dict": renamed(network, "encoder.")}), backbone) == first
    changed = renamed(network, "") | {"blocks.0.1.bias": torch.ones(8)}
    assert load_foreign(written(tmp_path, changed), backbone) != first
