"""ResNets: torchvision's network above 64 pixels, the small stem up to there."""

import pytest
import torch
import torchvision.models
from torch import nn

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.nets.backbones.resnet import ResNet18, ResNet50, ResNetSettings


def built(kind=ResNet18, side=32, **settings):
    """A network without values: shapes are all that is asked of it."""
    with torch.device("meta"):
        return kind(side, ResNetSettings(**settings))


def sides(backbone, side):
    maps, _ = backbone.stages(torch.empty(2, 3, side, side, device="meta"))
    return [stage.shape[-1] for stage in maps]


@pytest.mark.parametrize(("kind", "channels"), [(ResNet18, (64, 128, 256, 512)), (ResNet50, (256, 512, 1024, 2048))])
def test_stages_have_the_channels_of_the_paper(kind, channels):
    backbone = built(kind)
    maps, features = backbone.stages(torch.empty(2, 3, 32, 32, device="meta"))
    assert tuple(stage.shape[1] for stage in maps) == channels
    assert features.shape == (2, backbone.feature_dim) == (2, channels[-1])


@pytest.mark.parametrize(
    ("side", "padding", "expected"),
    [
        (32, 1, [32, 16, 8, 4]),
        (64, 1, [64, 32, 16, 8]),
        (32, 2, [34, 17, 9, 5]),
        (32, 0, [30, 15, 8, 4]),
    ],
)
def test_the_small_stem_keeps_the_side_with_padding_1_and_enlarges_it_with_2(side, padding, expected):
    assert sides(built(side=side, stem_padding=padding), side) == expected


def test_padding_1_is_the_default():
    assert sides(built(side=32), 32) == [32, 16, 8, 4]


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_above_64_pixels_the_stem_is_that_of_the_paper_whatever_the_padding(padding):
    backbone = built(side=65, stem_padding=padding)
    assert sides(backbone, 65) == [17, 9, 5, 3]  # 7x7 of stride 2, then pooling of stride 2
    assert backbone.conv1.kernel_size == (7, 7)
    assert isinstance(backbone.maxpool, nn.MaxPool2d)


@pytest.mark.parametrize(("kind", "name"), [(ResNet18, "resnet18"), (ResNet50, "resnet50")])
def test_names_and_shapes_are_those_of_torchvision_but_for_the_classifier_and_a_small_stem(kind, name):
    with torch.device("meta"):
        theirs = {key: value.shape for key, value in torchvision.models.get_model(name).state_dict().items()}
    theirs = {key: shape for key, shape in theirs.items() if not key.startswith("fc.")}
    large = {key: value.shape for key, value in built(kind, 224).state_dict().items()}
    small = {key: value.shape for key, value in built(kind, 32).state_dict().items()}
    assert large == theirs
    assert small == {**theirs, "conv1.weight": (64, 3, 3, 3)}


def test_with_the_weights_of_torchvision_it_gives_the_features_of_torchvision():
    theirs = torchvision.models.resnet18().eval()
    theirs.fc = nn.Identity()
    ours = ResNet18(96, ResNetSettings()).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_the_small_stem_starts_with_the_variance_of_the_other_convolutions():
    torch.manual_seed(0)
    weight = ResNet18(32, ResNetSettings()).conv1.weight
    # He et al. 2015: variance 2 / fan-out, with 64 channels of 3 x 3; 1,728 draws leave about 3.4 % of error.
    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stem_pading": 2}, "unknown key 'stem_pading': did you mean 'stem_padding'?"),
        ({"stem_padding": 3}, "'stem_padding' = 3"),
    ],
)
def test_an_unknown_or_impossible_setting_is_refused(settings, message):
    with pytest.raises(SettingsError) as error:
        parse(ResNetSettings, settings, "backbone resnet18")
    assert message in str(error.value)
