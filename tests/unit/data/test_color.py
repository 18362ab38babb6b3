"""Color operations against torchvision, closed forms and a direct convolution."""

import colorsys
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as torchvision

from cassle.data import color as color

untimed = settings(deadline=None)
seeds = st.integers(0, 999)
GRAYS_APART = 1.1e-4
"""torchvision weighs red with 0.2989, here it is 0.299: grays of pixels in 0-1 differ by up to 0.0001."""


def images(seed, count=3, height=9, width=8):
    made = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 3, height, width, generator=made)
    pixels[0, :, 0] = pixels[0, :1, 0]  # a gray row, where hue is not defined
    pixels[0, :, 1, 0], pixels[0, :, 1, 1] = 0.0, 1.0
    return pixels


def by_torchvision(operation, pixels, parameters):
    return torch.stack([operation(image, float(value)) for image, value in zip(pixels, parameters, strict=True)])


def factors(low, high):
    return st.lists(st.floats(low, high), min_size=3, max_size=3).map(torch.tensor)


@untimed
@given(seeds, factors(0, 3))
def test_brightness_is_torchvisions(seed, factor):
    pixels = images(seed)
    expected = by_torchvision(torchvision.adjust_brightness, pixels, factor)
    torch.testing.assert_close(color.brightness(pixels, factor), expected, rtol=0, atol=1e-5)


@untimed
@given(seeds, factors(0, 2))
def test_contrast_is_torchvisions_and_moves_away_from_the_mean_brightness(seed, factor):
    pixels = images(seed)
    made = color.contrast(pixels, factor)
    expected = by_torchvision(torchvision.adjust_contrast, pixels, factor)
    torch.testing.assert_close(made, expected, rtol=0, atol=GRAYS_APART)
    mean = (pixels.mean(dim=(2, 3)) @ torch.tensor(color.GRAY)).view(-1, 1, 1, 1)
    f = factor.view(-1, 1, 1, 1)
    torch.testing.assert_close(made, (f * pixels + (1 - f) * mean).clamp(0, 1), rtol=0, atol=1e-5)


@untimed
@given(seeds, factors(0, 2))
def test_saturation_is_torchvisions_and_moves_away_from_gray(seed, factor):
    pixels = images(seed)
    made = color.saturation(pixels, factor)
    expected = by_torchvision(torchvision.adjust_saturation, pixels, factor)
    torch.testing.assert_close(made, expected, rtol=0, atol=GRAYS_APART)
    light = torch.einsum("bchw,c->bhw", pixels, torch.tensor(color.GRAY)).unsqueeze(1)
    f = factor.view(-1, 1, 1, 1)
    torch.testing.assert_close(made, (f * pixels + (1 - f) * light).clamp(0, 1), rtol=0, atol=1e-5)


@untimed
@given(seeds, factors(-0.5, 0.5))
def test_hue_is_torchvisions(seed, shift):
    pixels = images(seed)
    expected = by_torchvision(torchvision.adjust_hue, pixels, shift)
    torch.testing.assert_close(color.hue(pixels, shift), expected, rtol=0, atol=1e-4)


@untimed
@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=3, max_size=3), st.sampled_from([-0.5, -0.1, 0, 0.3]))
def test_hue_turns_every_pixel_around_the_color_circle(pixel, shift):
    h, s, v = colorsys.rgb_to_hsv(*pixel)
    expected = colorsys.hsv_to_rgb((h + shift) % 1, s, v)
    made = color.hue(torch.tensor(pixel).view(1, 3, 1, 1), torch.tensor([shift]))
    assert made.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_a_third_of_a_turn_makes_red_green_green_blue_and_blue_red():
    primaries = torch.eye(3).view(1, 3, 3, 1)  # one column of red, green and blue
    turned = color.hue(primaries, torch.tensor([1 / 3]))
    torch.testing.assert_close(turned, primaries.roll(1, dims=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("operation", "neutral"), list(zip(color.JITTER, color.NEUTRAL, strict=True)))
def test_neutral_parameters_change_nothing(operation, neutral):
    pixels = images(0)
    torch.testing.assert_close(operation(pixels, torch.full((3,), neutral)), pixels, rtol=0, atol=1e-6)


@pytest.mark.parametrize("operation", [*color.JITTER, color.blur])
def test_every_image_gets_its_own_parameter_and_its_input_stays(operation):
    pixels, parameter = images(1), torch.tensor([0.1, 0.4, 0.5])
    before = pixels.clone()
    together = operation(pixels, parameter)
    alone = torch.cat([operation(pixels[i : i + 1], parameter[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("operation", [color.gray, color.solarize, color.flip])
def test_a_choice_changes_the_images_it_is_made_for_and_no_other(operation):
    pixels = images(2)
    before = pixels.clone()
    made = operation(pixels, torch.tensor([True, False, True]))
    assert torch.equal(made[1], pixels[1])
    assert not torch.equal(made[0], pixels[0])
    assert not torch.equal(made[2], pixels[2])
    assert torch.equal(pixels, before)


YES = torch.ones(3, dtype=torch.bool)


@untimed
@given(seeds)
def test_gray_is_torchvisions_and_stays_gray(seed):
    pixels = images(seed)
    made = color.gray(pixels, YES)
    expected = torchvision.rgb_to_grayscale(pixels, num_output_channels=3)
    torch.testing.assert_close(made, expected, rtol=0, atol=GRAYS_APART)
    assert torch.equal(made[:, :1].expand_as(made), made)
    torch.testing.assert_close(color.gray(made, YES), made, rtol=0, atol=1e-6)


def test_brightness_of_a_pixel_weighs_its_channels_as_bt_601_does():
    primaries = torch.eye(3).view(1, 3, 3, 1)
    assert color.luminance(primaries).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert color.luminance(torch.ones(1, 3, 1, 1)).item() == pytest.approx(1)


@untimed
@given(seeds)
def test_solarize_is_torchvisions_with_a_threshold_of_128(seed):
    pixels = (255 * images(seed)).round() / 255
    pixels[1, :, 0, :2] = torch.tensor([127.0, 128.0]) / 255
    made = color.solarize(pixels, YES)
    assert torch.equal(made, torchvision.solarize(pixels, threshold=128 / 255))
    assert (255 * made[1, 0, 0, :2]).tolist() == pytest.approx([127, 127], abs=1e-4)


@untimed
@given(seeds)
def test_flip_is_torchvisions(seed):
    pixels = images(seed)
    assert torch.equal(color.flip(pixels, YES), torchvision.horizontal_flip(pixels))


def test_a_blur_of_nothing_keeps_the_very_pixels():
    pixels = images(3)
    assert torch.equal(color.blur(pixels, torch.zeros(3)), pixels)


@untimed
@given(st.floats(0, 1), factors(0, 4))
def test_a_blur_keeps_constants_and_stays_in_range(level, sigma):
    made = color.blur(torch.full((3, 3, 9, 8), level), sigma)
    torch.testing.assert_close(made, torch.full_like(made, level), rtol=0, atol=1e-5)
    made = color.blur(images(4), sigma)
    assert made.min() >= -1e-5
    assert made.max() <= 1 + 1e-5


def convolved(image, sigma):
    """Blur (3, H, W) by one sum over a square of mirrored neighbors, up to three sigma rounded to whole pixels."""
    reach = math.floor(3 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    square = torch.outer(kernel, kernel) / kernel.sum().square()
    padded = F.pad(image.unsqueeze(1), (reach,) * 4, mode="reflect")
    return F.conv2d(padded, square[None, None]).squeeze(1)


SIGMAS = [0.1, 0.3, 0.7, 1.1, 1.3, 2.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_blur_is_a_direct_convolution_over_mirrored_borders(sigma):
    pixels = images(5, height=12, width=10)
    expected = torch.stack([convolved(image, sigma) for image in pixels])
    made = color.blur(pixels, torch.full((3,), sigma))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_blur_is_torchvisions_with_a_kernel_of_three_sigma(sigma):
    pixels = images(6, height=12, width=10)
    side = 2 * math.floor(3 * sigma + 0.5) + 1
    expected = torchvision.gaussian_blur(pixels, [side, side], [sigma, sigma])
    made = color.blur(pixels, torch.full((3,), sigma))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0, 40.0])
def test_a_large_image_is_blurred_as_matrices_would(sigma):
    side = color.SMALL + 6
    pixels, sigmas = images(5, 3, side, side + 3), torch.tensor([sigma, 0.0, sigma / 2])
    rows, columns = (color._blur_matrix(length, sigmas, 3.0) for length in (side, side + 3))
    expected = rows.unsqueeze(1) @ pixels @ columns.unsqueeze(1).transpose(2, 3)
    before = pixels.clone()
    made = color.blur(pixels, sigmas)
    # The matrices fold what a kernel longer than the image would reach; there the sums end at the far side.
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5 if 3 * sigma < side else 0.05)
    assert torch.equal(made[1], pixels[1])
    assert torch.equal(pixels, before)
