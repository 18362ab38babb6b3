"""Backbones in files of other software: found by their keys, read strictly, nothing in the file executed."""

import argparse
import collections

import numpy as np
import pytest
import torch
import torchvision

from cassle.core.errors import CheckpointError
from cassle.core.options import Options
from cassle.evaluation.external import load_external, read_external
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.nets.backbones.resnet import ResNet18, ResNetSettings


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
    torch.save(value, tmp_path / "external.pt")
    return tmp_path / "external.pt"


def same_features(network, backbone):
    images = torch.randn(2, 3, 8, 8)
    return torch.equal(network(images), backbone(images))


def test_torchvisions_resnet_gives_its_own_features(tmp_path):
    torch.manual_seed(1)
    theirs = torchvision.models.resnet18()
    ours = ResNet18(96, ResNetSettings()).eval()
    load_external(written(tmp_path, theirs.state_dict()), ours)
    theirs.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(ours(images), theirs.eval()(images))


def batchnorm(name, width):
    return {f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()
    }


def names_of_timms_resnet18():
    """The tensors of timm's resnet18 and their shapes, which keep torchvision's names."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **batchnorm("bn1", 64), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    before = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            place = f"layer{stage}.{block}"
            shapes |= {f"{place}.conv1.weight": (width, before, 3, 3), **batchnorm(f"{place}.bn1", width)}
            shapes |= {f"{place}.conv2.weight": (width, width, 3, 3), **batchnorm(f"{place}.bn2", width)}
            if before != width:
                shapes |= {f"{place}.downsample.0.weight": (width, before, 1, 1)}
                shapes |= batchnorm(f"{place}.downsample.1", width)
            before = width
    return shapes


def test_timms_resnet_is_read_from_its_training_checkpoint(tmp_path, capsys):
    tensors = {key: torch.tensor(0.5).expand(shape) for key, shape in names_of_timms_resnet18().items()}
    value = {"arch": "resnet18", "epoch": 3, "state_dict": tensors, "args": argparse.Namespace(model="resnet18")}
    ours = ResNet18(224, ResNetSettings())
    load_external(written(tmp_path, value), ours)
    assert all((tensor == (0 if tensor.dtype == torch.int64 else 0.5)).all() for tensor in ours.state_dict().values())
    assert capsys.readouterr().out.endswith("left out: 2 others (fc: 2)\n")


@pytest.fixture(scope="module")
def theirs():
    """The release's network for CIFAR images: torchvision's, with a small stem and nothing behind the features."""
    torch.manual_seed(1)
    made = torchvision.models.resnet18()
    made.conv1, made.maxpool = torch.nn.Conv2d(3, 64, 3, padding=2, bias=False), torch.nn.Identity()
    made.fc = torch.nn.Identity()
    return made.eval()


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("encoder", ["momentum_encoder", "frozen_encoder"]),
        ("backbone", ["momentum_backbone"]),
    ],
    ids=["original", "solo-learn"],
)
def test_a_lightning_checkpoint_of_byol_gives_the_features_of_its_own_network(tmp_path, capsys, theirs, name, others):
    tensors = theirs.state_dict()
    copies = {f"{other}.{k}": torch.zeros(()).expand(v.shape) for other in others for k, v in tensors.items()}
    heads = {
        f"{head}.{layer}.weight": torch.zeros(2, 2)
        for head in ("projector", "momentum_projector", "frozen_projector", "predictor", "distill_predictor")
        for layer in (0, 3)
    }
    state = {
        **copies,
        **heads,
        "classifier.weight": torch.zeros(2, 2),
        **{f"{name}.{k}": v for k, v in tensors.items()},
    }
    path = written(tmp_path, {"epoch": 499, "state_dict": state, "hyper_parameters": argparse.Namespace(lr=0.3)})
    ours = ResNet18(32, ResNetSettings(stem_padding=2)).eval()
    load_external(path, ours)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))
    said = capsys.readouterr().out
    assert f"120 tensors of the backbone read under '{name}.'" in said
    assert f"{others[0]}: 120" in said


@pytest.mark.parametrize(("stem", "size", "remedy"), [(7, 32, 224), (3, 96, 32)])
def test_a_resnet_for_images_of_another_size_says_how_to_give_it_its_own(tmp_path, stem, size, remedy):
    shapes = {**names_of_timms_resnet18(), "conv1.weight": (64, 3, stem, stem)}
    path = written(tmp_path, {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()})
    with torch.device("meta"):
        ours = ResNet18(size, ResNetSettings())
    with pytest.raises(CheckpointError, match=rf"the side of the images it was made for: --image_size {remedy}$"):
        load_external(path, ours)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (lambda n: n.state_dict(), "left out: 2 others (fc: 2)"),
        (lambda n: {"state_dict": renamed(n, "backbone."), "epoch": 3}, "under 'backbone.'"),
        (lambda n: {"state_dict": renamed(n, "encoder.") | renamed(n, "momentum_encoder.")}, "momentum_encoder: 18"),
        (lambda n: {"model": renamed(n, "module.encoder_q.")}, "under 'module.encoder_q.'"),
    ],
    ids=["plain", "backbone", "encoder", "distributed"],
)
def test_the_backbone_is_found_under_its_prefix_and_the_rest_is_named(tmp_path, capsys, network, backbone, shape, said):
    load_external(written(tmp_path, shape(network)), backbone)
    assert said in capsys.readouterr().out
    assert same_features(network, backbone)


def test_the_momentum_copy_is_not_taken_for_the_network(tmp_path, network, backbone):
    other = {key: torch.zeros_like(value) for key, value in renamed(network, "momentum_encoder.").items()}
    load_external(written(tmp_path, {"state_dict": other | renamed(network, "encoder.")}), backbone)
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
    load_external(path, backbone)
    assert same_features(network, backbone)


class Trap:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_nothing_in_a_file_is_executed(tmp_path, network):
    path = written(tmp_path, {"state_dict": renamed(network, ""), "trap": Trap(tmp_path / "sprung")})
    assert set(read_external(path)["state_dict"]) == set(renamed(network, ""))
    assert not (tmp_path / "sprung").exists()


def test_counters_that_old_files_lack_are_no_reason_to_refuse(tmp_path, network, backbone):
    tensors = {k: v for k, v in renamed(network, "").items() if not k.endswith("num_batches_tracked")}
    load_external(written(tmp_path, tensors), backbone)
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
        (lambda n: {"epoch": 3}, "holds no state dict.*; write one"),
        (lambda n: n, r"holds a whole network.*torch.save\(network.state_dict\(\), 'plain.pt'\)"),
        (lambda n: {"epoch": 3, "model": n}, "holds a whole network"),
        (lambda n: renamed(n, "a.") | renamed(n, "b."), "several such backbones, under a., b."),
    ],
    ids=["missing", "shape", "other", "none", "module", "module-in-a-room", "several"],
)
def test_a_file_that_does_not_hold_the_backbone_says_what_differs(tmp_path, network, backbone, shape, message):
    with pytest.raises(CheckpointError, match=message):
        load_external(written(tmp_path, shape(network)), backbone)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.ckpt"):
        read_external(path)


def test_a_file_of_safetensors_is_refused_with_the_line_that_writes_it_anew(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointError, match=r"torch.save\(safetensors.torch.load_file\('model.safetensors'\), "):
        read_external(tmp_path / "model.safetensors")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_external(tmp_path / "none.pt")


def test_the_fingerprint_names_the_tensors_and_not_the_file(tmp_path, network, backbone):
    first = load_external(written(tmp_path, renamed(network, "")), backbone)
    assert load_external(written(tmp_path, {"state_dict": renamed(network, "encoder.")}), backbone) == first
    changed = renamed(network, "") | {"blocks.0.1.bias": torch.ones(8)}
    assert load_external(written(tmp_path, changed), backbone) != first
