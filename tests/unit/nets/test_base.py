"""What every backbone promises, whichever file it comes from."""

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options, parse
from cassle.nets.base import Backbone, backbones


@pytest.fixture(params=backbones.names())
def kind(request):
    return backbones.get(request.param)


@pytest.mark.parametrize("side", [16, 96])
def test_features_have_the_promised_size_and_maps_one_row_per_image(kind, side):
    with torch.device("meta"):  # shapes without the arithmetic
        backbone = kind(side, kind.Settings())
        maps, features = backbone.stages(torch.empty(5, 3, side, side))
    assert features.shape == (5, backbone.feature_dim)
    assert maps
    assert all(stage.ndim == 4 and len(stage) == 5 for stage in maps)


def test_a_forward_pass_gives_the_features_of_the_stages():
    class Doubled(Backbone):
        def stages(self, images):
            return [images], 2 * images.mean(dim=(2, 3))

    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(Doubled(4, Options())(images), 2 * images.mean(dim=(2, 3)))


def test_a_setting_that_a_backbone_does_not_have_is_refused(kind):
    with pytest.raises(SettingsError, match="unknown key 'color'"):
        parse(kind.Settings, {"color": "blue"}, "backbone")


def test_an_unknown_backbone_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="there is no backbone 'resnet19': did you mean 'resnet18'"):
        backbones.get("resnet19")
