"""Crops and rotations against Pillow, and the boxes of random crops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cassle.data.crop import crop_resize, crop_resize_each, cubic, draw_boxes, resize_weights, rotate

BICUBIC = Image.Resampling.BICUBIC

untimed = settings(deadline=None)


@st.composite
def crops(draw):
    """A random image (1, 3, H, W), a box in it and the side of the crop: smaller, larger or both by axis."""
    height, width, size = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    box = (top, left, draw(st.integers(1, height - top)), draw(st.integers(1, width - left)))
    made = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return torch.randint(256, (1, 3, height, width), dtype=torch.uint8, generator=made), box, size


def cut_out(images, box):
    top, left, height, width = box
    return images[0, :, top : top + height, left : left + width]


def by_pillow(image, size):
    """Resize (3, H, W) in two steps, since Pillow picks the order of its two passes by their cost."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture = picture.resize((size, picture.height), BICUBIC).resize((size, size), BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()


def by_pillow_in_floats(image, size):
    channels = [Image.fromarray(channel.float().numpy()) for channel in image]
    return torch.stack([torch.from_numpy(np.array(c.resize((size, size), BICUBIC))) for c in channels])


@untimed
@given(crops())
def test_a_crop_is_what_pillow_makes_of_the_pixels_in_the_box(crop):
    images, box, size = crop
    made = 255 * crop_resize(images, torch.tensor([box]), size)[0]
    expected = by_pillow_in_floats(cut_out(images, box), size).clamp(0, 255)
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-2)


@untimed
@given(crops())
def test_a_crop_rounded_between_passes_is_pillows_to_a_gray_level(crop):
    images, box, size = crop
    made = 255 * crop_resize(images, torch.tensor([box]), size, round_between=True)[0]
    torch.testing.assert_close(made, made.round(), rtol=0, atol=1e-4)
    # A tie rounded the other way moves the first pass by one level; the weights of the second pass sum to at most 1.25
    # in size, and it rounds again.
    assert (made.round() - by_pillow(cut_out(images, box), size)).abs().max() <= 2


@pytest.mark.parametrize(("height", "width", "size"), [(33, 31, 17), (9, 13, 32), (41, 11, 23), (11, 41, 23)])
def test_rounding_between_passes_gives_pillows_very_gray_levels(height, width, size):
    images = torch.randint(256, (1, 3, 50, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    box = (5, 7, height, width)
    expected = by_pillow(cut_out(images, box), size)
    rounded, exact = (
        255 * crop_resize(images, torch.tensor([box]), size, round_between=between)[0] for between in (True, False)
    )
    assert (rounded.round() == expected).float().mean() > 0.99
    assert (exact.round() == expected).float().mean() < 0.9


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 32), (24, 24, 16), (12, 12, 32), (40, 20, 32)])
def test_a_crop_of_one_pass_is_pillows_to_a_gray_level(height, width, size):
    made = torch.Generator().manual_seed(0)
    images = torch.randint(256, (1, 3, size, width), dtype=torch.uint8, generator=made)
    crop = 255 * crop_resize(images, torch.tensor([[0, 0, size, width]]), size, round_between=True)[0]
    assert (crop.round() - by_pillow(images[0], size)).abs().max() <= 1
    tall = torch.randint(256, (1, 3, height, size), dtype=torch.uint8, generator=made)
    crop = 255 * crop_resize(tall, torch.tensor([[0, 0, height, size]]), size, round_between=True)[0]
    assert (crop.round() - by_pillow(tall[0], size)).abs().max() <= 1


def test_every_image_of_a_batch_gets_its_own_box():
    made = torch.Generator().manual_seed(0)
    images = torch.randint(256, (5, 3, 20, 24), dtype=torch.uint8, generator=made)
    boxes = torch.tensor([[0, 0, 20, 24], [3, 4, 5, 6], [10, 0, 10, 24], [19, 23, 1, 1], [2, 2, 16, 16]])
    together = crop_resize(images, boxes, 16)
    alone = torch.cat([crop_resize(images[i : i + 1], boxes[i : i + 1], 16) for i in range(5)])
    assert together.shape == (5, 3, 16, 16)
    torch.testing.assert_close(together, alone)


def test_a_crop_of_its_own_size_keeps_the_pixels():
    images = torch.randint(256, (2, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[2, 1, 5, 5], [4, 4, 5, 5]])
    expected = torch.stack([images[0, :, 2:7, 1:6], images[1, :, 4:9, 4:9]]) / 255
    torch.testing.assert_close(crop_resize(images, boxes, 5), expected, rtol=0, atol=1e-6)


@untimed
@given(crops())
def test_a_crop_stays_in_range_and_keeps_a_constant(crop):
    images, box, size = crop
    made = crop_resize(images, torch.tensor([box]), size)
    assert made.shape == (1, 3, size, size)
    assert 0 <= made.min() <= made.max() <= 1
    gray = torch.full_like(images, 77)
    torch.testing.assert_close(crop_resize(gray, torch.tensor([box]), size), torch.full_like(made, 77 / 255))


@untimed
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 10))
def test_weights_of_a_crop_sum_to_one_and_reach_no_pixel_outside_it(length, out, before, after):
    weights = resize_weights(torch.tensor([before]), torch.tensor([length]), before + length + after, out)[0]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(out))
    assert not weights[:, :before].any()
    assert not weights[:, before + length :].any()


def test_the_kernel_is_keys_with_a_half():
    x = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
    # Keys (1981), a = -1/2: 1.5|x|^3 - 2.5|x|^2 + 1 below 1, -0.5|x|^3 + 2.5|x|^2 - 4|x| + 2 below 2.
    expected = torch.tensor([1.0, 0.1875 - 0.625 + 1, 0.0, -1.6875 + 5.625 - 6 + 2, 0.0, 0.0])
    torch.testing.assert_close(cubic(x), expected)
    torch.testing.assert_close(cubic(-x), expected)


shares = st.floats(0.05, 1).flatmap(lambda low: st.tuples(st.just(low), st.floats(low, 1)))
ratios = st.floats(0.3, 3).flatmap(lambda low: st.tuples(st.just(low), st.floats(low, 3)))


@untimed
@given(st.integers(4, 64), st.integers(4, 64), shares, ratios, st.integers(0, 99))
def test_boxes_are_whole_and_lie_inside_the_image(height, width, scale, ratio, seed):
    boxes = draw_boxes(50, height, width, scale, ratio, torch.Generator().manual_seed(seed))
    top, left, high, wide = boxes.unbind(1)
    assert boxes.shape == (50, 4)
    assert torch.equal(boxes, boxes.round())
    assert (high >= 1).all()
    assert (wide >= 1).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + high <= height).all()
    assert (left + wide <= width).all()


@untimed
@given(st.integers(8, 64), st.floats(0.05, 0.5), st.floats(0.5, 1), st.integers(0, 99))
def test_boxes_keep_to_area_and_ratio_up_to_rounding(side, low, ratio_low, seed):
    # Half the area of a square at ratios from 1/2 to 2 always fits: sides are at most sqrt(0.5 * 2) of it.
    scale, ratio = (low, 0.5), (ratio_low, 1 / ratio_low)
    boxes = draw_boxes(200, side, side, scale, ratio, torch.Generator().manual_seed(seed))
    high, wide = boxes[:, 2], boxes[:, 3]
    slack = 1e-3
    assert ((high - 0.5) * (wide - 0.5) <= scale[1] * side**2 + slack).all()
    assert ((high + 0.5) * (wide + 0.5) >= scale[0] * side**2 - slack).all()
    assert ((wide - 0.5) / (high + 0.5) <= ratio[1] + slack).all()
    assert ((wide + 0.5) / (high - 0.5) >= ratio[0] - slack).all()


def test_boxes_are_uniform_in_area_and_log_uniform_in_ratio():
    boxes = draw_boxes(4000, 2000, 2000, (0.1, 0.5), (0.5, 2.0), torch.Generator().manual_seed(0))
    area, log = boxes[:, 2] * boxes[:, 3] / 2000**2, (boxes[:, 3] / boxes[:, 2]).log()
    # Six standard errors of the means of uniform draws: 6 * range / sqrt(12 * 4000).
    assert area.mean() == pytest.approx(0.3, abs=6 * 0.4 / math.sqrt(12 * 4000))
    assert log.mean() == pytest.approx(0, abs=6 * 2 * math.log(2) / math.sqrt(12 * 4000))
    assert log.std() == pytest.approx(2 * math.log(2) / math.sqrt(12), rel=0.1)
    place = boxes[:, 0] / (2000 - boxes[:, 2])
    assert place.mean() == pytest.approx(0.5, abs=6 / math.sqrt(12 * 4000))


def test_a_box_may_lie_anywhere_the_last_row_and_column_included():
    boxes = draw_boxes(4000, 4, 6, (4 / 24, 4 / 24), (1.0, 1.0), torch.Generator().manual_seed(0))
    assert {tuple(box[2:].tolist()) for box in boxes} == {(2, 2)}
    counts = torch.bincount(boxes[:, 0].long() * 5 + boxes[:, 1].long())
    # 3 x 5 places; six standard deviations of a count of 4000 / 15
    assert len(counts) == 15
    assert (counts - 4000 / 15).abs().max() < 6 * math.sqrt(4000 / 15)


def test_the_ratio_of_a_box_is_its_width_over_its_height():
    boxes = draw_boxes(50, 100, 100, (0.1, 0.2), (2.0, 3.0), torch.Generator().manual_seed(0))
    ratio = boxes[:, 3] / boxes[:, 2]
    # Sides are at least 18 and 44 pixels here, and each is rounded by half a pixel at most.
    assert ratio.min() > 2 * (1 - 0.5 / 18) * (1 - 0.5 / 44)
    assert ratio.max() < 3 * (1 + 0.5 / 17) * (1 + 0.5 / 44)


@pytest.mark.parametrize(
    ("height", "width", "ratio", "expected"),
    [
        (12, 12, (2.0, 3.0), [3, 0, 6, 12]),  # too wide for a square: full width, ratio 2, in the middle
        (12, 12, (0.25, 0.5), [0, 3, 12, 6]),  # too high: full height, ratio 1/2
        (10, 40, (1.0, 1.0), [0, 15, 10, 10]),  # the whole area as a square fits no wide image
    ],
)
def test_where_no_box_fits_the_largest_centerd_one_is_taken(height, width, ratio, expected):
    boxes = draw_boxes(3, height, width, (1.0, 1.0), ratio, torch.Generator().manual_seed(0))
    assert boxes.tolist() == [expected] * 3


def test_the_same_generator_draws_the_same_boxes():
    one, other = (draw_boxes(9, 32, 32, (0.1, 1), (0.75, 1.33), torch.Generator().manual_seed(s)) for s in (1, 1))
    assert torch.equal(one, other)
    assert not torch.equal(one, draw_boxes(9, 32, 32, (0.1, 1), (0.75, 1.33), torch.Generator().manual_seed(2)))


@untimed
@given(st.integers(2, 16), st.integers(0, 99))
def test_turning_by_quarters_moves_pixels_and_by_nothing_keeps_them(side, seed):
    images = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(seed))
    turned = rotate(images, torch.tensor([0.0, 90.0, 180.0, -90.0]))
    expected = torch.stack(
        [image.rot90(quarters, dims=(1, 2)) for image, quarters in zip(images, (0, 1, 2, -1), strict=True)]
    )
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-4)


def test_a_rotation_repeats_the_border_and_keeps_a_constant():
    images = torch.full((3, 3, 10, 10), 0.4)
    turned = rotate(images, torch.tensor([10.0, 45.0, 133.0]))
    torch.testing.assert_close(turned, images)


def thousand_crops():
    """Photograph-like images (1000, 3, 60, 80), boxes in them that are half enlarged and half shrunk, and a side."""
    made = torch.Generator().manual_seed(0)
    coarse = torch.rand(20, 3, 8, 10, generator=made)
    smooth = torch.nn.functional.interpolate(coarse, size=(60, 80), mode="bicubic").clamp(0, 1)
    noisy = (255 * smooth + 10 * torch.randn(smooth.shape, generator=made)).clamp(0, 255).round().to(torch.uint8)
    images = noisy.repeat(50, 1, 1, 1)
    boxes = draw_boxes(1000, 60, 80, (0.05, 1.0), (0.5, 2.0), made)
    assert (boxes[:, 2:].amax(dim=1) < 32).sum() > 150 < (boxes[:, 2:].amin(dim=1) > 32).sum()
    return images, boxes, 32


def test_a_thousand_crops_are_pillows():
    images, boxes, size = thousand_crops()
    cuts = [cut_out(image[None], box) for image, box in zip(images, boxes.int().tolist(), strict=True)]
    expected = torch.stack([by_pillow(cut, size) for cut in cuts])

    def mean_error(crops):
        return (crops - expected).abs().mean().item()

    assert mean_error(255 * crop_resize(images, boxes, size)) < 0.5
    assert mean_error(255 * crop_resize(images, boxes, size, round_between=True)) < 0.01
    none = torch.zeros(1000, dtype=torch.bool)
    assert mean_error(crop_resize_each(images, boxes, size, none).float()) < 0.01


def test_crops_are_mirrored_where_asked():
    images, boxes, size = thousand_crops()
    images, boxes, mirror = images[:6], boxes[:6], torch.tensor([True, False] * 3)
    for made in (crop_resize, crop_resize_each):
        straight = made(images, boxes, size, torch.zeros(6, dtype=torch.bool)).float()
        expected = torch.where(mirror.view(-1, 1, 1, 1), straight.flip(3), straight)
        torch.testing.assert_close(made(images, boxes, size, mirror).float(), expected, rtol=0, atol=1e-5)


def test_boxes_of_images_of_many_sizes_are_those_of_each_size_alone():
    sizes = torch.tensor([[20, 30], [40, 10], [20, 30], [7, 7]])
    together = draw_boxes(4, sizes[:, 0], sizes[:, 1], (0.2, 0.9), (0.5, 2.0), torch.Generator().manual_seed(0))
    for place, (height, width) in enumerate(sizes.tolist()):
        alone = draw_boxes(4, height, width, (0.2, 0.9), (0.5, 2.0), torch.Generator().manual_seed(0))
        assert torch.equal(together[place], alone[place])
