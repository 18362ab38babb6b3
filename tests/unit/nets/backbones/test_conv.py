"""The small convolutional networks."""

import pytest
import torch

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3, Conv3Narrow


@pytest.mark.parametrize(("kind", "widths"), [(Conv3, (16, 32, 64)), (Conv3Narrow, (8, 16, 32))])
@pytest.mark.parametrize("side", [8, 9, 16, 32])
def test_the_first_stage_keeps_the_side_and_each_later_one_halves_it(kind, widths, side):
    backbone = kind(side, Options())
    maps, features = backbone.stages(torch.randn(2, 3, side, side))
    sides = [side, -(-side // 2), -(-side // 4)]
    assert [tuple(stage.shape) for stage in maps] == [(2, w, s, s) for w, s in zip(widths, sides, strict=True)]
    assert backbone.feature_dim == widths[-1]
    assert torch.equal(features, maps[-1].mean(dim=(2, 3)))


def test_maps_follow_a_relu():
    maps, _ = Conv3Narrow(8, Options()).stages(torch.randn(4, 3, 8, 8))
    assert all(stage.min() == 0 for stage in maps)


def test_each_convolution_is_normalized_over_the_batch_and_therefore_has_no_bias():
    backbone = Conv3Narrow(8, Options())
    first = backbone.blocks[0]
    normalized = first[1](first[0](torch.randn(8, 3, 8, 8)))
    torch.testing.assert_close(normalized.mean(dim=(0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-5)
    assert not [name for name in backbone.state_dict() if name.endswith("0.bias")]
