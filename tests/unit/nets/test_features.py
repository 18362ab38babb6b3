"""Features of a frozen backbone, which is left as it was."""

import pytest
import torch

from cassle.core.errors import DivergenceError
from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.nets.features import extract_features

IMAGES = torch.randint(256, (10, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


class Images:
    """Images in memory, with a note of what was read."""

    def __init__(self, images):
        self.images, self.reads = images, []

    def __len__(self):
        return len(self.images)

    def read(self, index):
        self.reads.append(index.tolist())
        return self.images[index]


def clean(images):
    return images.float() / 255


def extracted(backbone, images=IMAGES, batch_size=4, clean=clean):
    return extract_features(backbone, Images(images), batch_size, "cpu", clean)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_every_image_is_read_once_and_gives_its_row_whatever_the_batch_size(backbone, batch_size):
    images = Images(IMAGES)
    features = extract_features(backbone, images, batch_size, "cpu", clean)
    assert [position for read in images.reads for position in read] == list(range(10))
    assert max(map(len, images.reads)) <= batch_size
    with torch.no_grad():
        torch.testing.assert_close(features, backbone.eval()(clean(IMAGES)))


def test_features_carry_no_gradient(backbone):
    assert not extracted(backbone).requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_statistics_of_batchnorm_are_used_and_not_moved(backbone, training):
    backbone.train()(clean(IMAGES))
    backbone.train(training)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    extracted(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def modes(backbone):
    return [module.training for module in backbone.modules()]


def broken(images):
    raise OSError("an image cannot be read")


def nan(images):
    return clean(images) * float("nan")


@pytest.mark.parametrize("how", [clean, broken, nan])
def test_every_module_is_left_in_the_mode_it_was_in_whatever_happens(backbone, how):
    backbone.train()
    backbone.blocks[1].eval()
    backbone.blocks[2][1].eval()
    before = modes(backbone)
    assert len(set(before)) == 2
    try:
        extracted(backbone, clean=how)
    except (OSError, DivergenceError):
        assert how is not clean
    assert modes(backbone) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(backbone, value):
    with torch.no_grad():
        backbone.blocks[-1][1].bias[0] = value
    with pytest.raises(DivergenceError, match=r"NaN or infinite.*lower learning rate"):
        extracted(backbone)


def test_no_images_have_no_features_of_the_right_size(backbone):
    assert extracted(backbone, IMAGES[:0]).shape == (0, 32)
