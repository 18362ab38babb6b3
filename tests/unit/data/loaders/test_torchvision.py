"""The plain path and the batched views draw from one distribution, compared by what they do to images."""

import pytest
import torch

from cassle.data.base import InMemory
from cassle.data.loaders import torchvision as module
from cassle.data.loaders.rows import TaskRows
from cassle.data.loaders.torchvision import StepReader, transform
from cassle.data.view_settings import ViewSettings
from cassle.data.views import apply, draw

DRAWS = 1000
OFF = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0, "gray": 0.0, "flip": 0.0}
NO_JITTER = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)


def both(image, **changes):
    """Views (DRAWS, 3, S, S) in gray levels of one image, by torchvision's chain and by the batched one."""
    settings = ViewSettings(**{"size": 16, **OFF, **changes})
    chain = transform(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = torch.stack([chain(image) for _ in range(DRAWS)]).float()
    made = torch.Generator().manual_seed(0)
    drawn = draw(settings, DRAWS, *image.shape[-2:], made)
    return plain, 255 * apply(image.expand(DRAWS, -1, -1, -1), drawn, settings)


def agree(plain, batched, slack=1.0):
    """Whether two samples of DRAWS numbers look like draws of one distribution, but for shifts by up to ``slack``.

    Kolmogorov's and Smirnov's test; 1.95 * sqrt(2 / n) is exceeded by chance once in a thousand times, and the seeds
    here are fixed. torchvision's chain cuts its numbers to whole gray levels, hence the slack.
    """

    def share(sample, up_to):
        return torch.searchsorted(sample.sort().values, up_to, right=True) / DRAWS

    one, other = plain.float().contiguous(), batched.float().contiguous()
    values = torch.cat([one, other])
    ahead = [(share(a, values) - share(b, values + slack)).max() for a, b in ((one, other), (other, one))]
    return bool(max(ahead) < 1.95 * (2 / DRAWS) ** 0.5)


def ramps(height=48, width=64):
    """Red grows from left to right, green from top to bottom, so that a crop tells where it was taken."""
    red = torch.arange(width).mul(255 / width).expand(height, width)
    green = torch.arange(height).mul(255 / height).view(-1, 1).expand(height, width)
    return torch.stack([red, green, torch.full((height, width), 128.0)]).round().to(torch.uint8)


def slopes(views):
    """Width, height, left and top of each crop as shares of the image, read from the middle of the ramps."""
    red, green = views[:, 0, 8] / 255, views[:, 1, :, 8] / 255
    spans = [(line[:, 12] - line[:, 4]) * 2 for line in (red, green)]
    starts = [line[:, 8] - span / 2 for line, span in zip((red, green), spans, strict=True)]
    return dict(zip(("width", "height", "left", "top"), (*spans, *starts), strict=True))


def test_crops_agree_in_area_ratio_and_place():
    plain, batched = (slopes(views) for views in both(ramps(), scale=(0.1, 0.8), ratio=(0.5, 2.0)))
    for name in plain:
        assert agree(plain[name], batched[name], 0.01), name
    assert agree(plain["width"] * plain["height"], batched["width"] * batched["height"], 0.01)
    assert agree(plain["width"] / plain["height"], batched["width"] / batched["height"], 0.02)
    assert not agree(plain["width"], 1.2 * batched["width"], 0.01)


def test_mirrored_views_agree():
    plain, batched = (slopes(views)["width"] < 0 for views in both(ramps(), flip=0.3))
    assert agree(plain, batched, 0)
    assert 0.2 < batched.float().mean() < 0.4


def colored():
    """Two halves of different colors, neither near black nor near white."""
    image = torch.tensor([110, 80, 60]).view(3, 1, 1).repeat(1, 16, 16)
    image[:, :, 8:] = torch.tensor([70, 90, 120]).view(3, 1, 1)
    return image.to(torch.uint8)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_operation_of_jitter_agrees(name):
    plain, batched = both(colored(), **{**NO_JITTER, "jitter": 0.7, name: 0.3})
    for channel in range(3):
        for column in (2, 13):
            values = [views[:, channel, 4, column] for views in (plain, batched)]
            assert agree(*values)
    assert not agree(plain[:, 0, 4, 2], batched[:, 0, 4, 2] + 6)


def test_jitter_in_random_order_agrees():
    strong = {"jitter": 1.0, "brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.2}
    plain, batched = both(colored(), **strong)
    for channel in range(3):
        assert agree(*(views[:, channel, 4, 2] for views in (plain, batched)))


@pytest.mark.parametrize(("name", "chance"), [("gray", 0.3), ("solarize", 0.2), ("blur", 0.5)])
def test_operations_are_applied_as_often(name, chance):
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[0, 8, 8] = 255  # a red dot: gray shows in green, solarizing makes it black, a blur spreads it
    place = {"gray": (1, 8, 8), "solarize": (0, 8, 8), "blur": (0, 8, 9)}[name]
    plain, batched = (views[:, *place] for views in both(image, sigma=(1.0, 2.0), **{name: chance}))
    changed = [(values < 128) if name == "solarize" else (values > 5) for values in (plain, batched)]
    assert agree(*changed, 0)
    assert abs(changed[0].float().mean() - chance) < 0.1


def test_blurs_agree_in_their_width():
    image = torch.zeros(3, 33, 33, dtype=torch.uint8)
    image[:, 16, 16] = 255
    plain, batched = both(image, size=33, blur=1.0, sigma=(0.5, 2.0))
    for place in (16, 17, 18):
        assert agree(*(views[:, 0, 16, place] for views in (plain, batched)))


def test_rotations_agree():
    plain, batched = (views[:, 0, 2, 8] for views in both(ramps(32, 32), rotate=20.0))
    assert agree(plain, batched)


def test_pixels_of_128_and_above_are_solarized():
    chain = transform(ViewSettings(size=16, **OFF, solarize=1.0))
    halves = torch.tensor([127, 128], dtype=torch.uint8).repeat_interleave(8).expand(3, 16, 16)
    assert chain(halves)[0, 0, [0, 15]].tolist() == [127, 127]


def test_what_is_drawn_for_an_image_depends_on_seed_task_epoch_step_and_place():
    images = InMemory(ramps(16, 16).expand(12, 3, 16, 16), torch.zeros(12), torch.zeros(12))

    def views(seed=0, task=0, epoch=0, step=0):
        rows = TaskRows(torch.arange(12), torch.arange(12), 4, 0, 0).at(epoch, step)
        return StepReader(images, [ViewSettings(size=16)], seed, task)[rows].views[0]

    batches = [views(), views(seed=1), views(task=1), views(epoch=1), views(step=1)]
    assert len(torch.cat(batches).unique(dim=0)) == 20
    assert torch.equal(views(), batches[0])


def test_workers_are_told_to_end_with_their_parent(monkeypatch):
    said = []
    monkeypatch.setattr(module, "die_with_parent", lambda: said.append("tied"))
    module._die_with_parent(0)
    assert said == ["tied"]
