"""Color operations on batches, with one parameter per image.

All take float images (B, 3, H, W) in 0-1 and return the same; factors are (B,). They agree with torchvision's functions
of the same names, which apply one parameter to a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.data.on_device import constant

GRAY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as Pillow and torchvision use them."""


SMALL = 64
"""Largest side of images for which matrix products crop and blur fastest on a CPU."""


def luminance(images: Tensor) -> Tensor:
    """Return the brightness (B, 1, H, W)."""
    red, green, blue = images.unbind(1)
    return (GRAY[0] * red).add_(green, alpha=GRAY[1]).add_(blue, alpha=GRAY[2]).unsqueeze(1)


def _each(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1, 1)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (images * _each(factor)).add_(other * _each(1 - factor)).clamp_(0, 1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor."""
    return (images * _each(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from (factor above 1) or towards the image's mean brightness."""
    mean = (images.flatten(2).mean(2) * constant(GRAY, images.device)).sum(1)
    return _blend(images, _each(mean), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from (factor above 1) or towards gray."""
    return _blend(images, luminance(images), factor)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the color circle by ``shift`` turns, keeping value and chroma."""
    # Written without torch.where, which takes ten times as long as arithmetic on a CPU.
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    not_red, not_green = (value - red).sign_(), (value - green).sign_()
    in_green, in_blue = (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4)
    sector = (green - blue).lerp_(in_green.lerp_(in_blue, not_green), not_red)
    turn = sector.div_((6 * chroma).clamp_(min=1e-12)).unsqueeze(1)
    # A color is missing where its own hue is half a turn away; 1 more keeps what `frac` gets above 0.
    ahead = shift.view(-1, 1) + constant((2, 5 / 3, 4 / 3), images.device)
    ramp = torch.rsub((turn + ahead.view(-1, 3, 1, 1)).frac_().sub_(0.5).abs_(), 2, alpha=6).clamp_(0, 1)
    return torch.addcmul(value.unsqueeze(1), ramp, chroma.unsqueeze(1), value=-1)


def gray(images: Tensor, apply: Tensor) -> Tensor:
    """Turn the images gray where ``apply`` (B,) bool."""
    return _some(images, apply, lambda rows: luminance(rows).expand_as(rows))


def solarize(images: Tensor, apply: Tensor) -> Tensor:
    """Invert pixels of 128/255 and above where ``apply`` (B,) bool."""
    return _some(images, apply, lambda rows: rows.lerp(1 - rows, (rows >= 128 / 255).to(rows.dtype)))


def flip(images: Tensor, apply: Tensor) -> Tensor:
    """Mirror left and right where ``apply`` (B,) bool."""
    return _some(images, apply, lambda rows: rows.flip(3))


def _some(images: Tensor, apply: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the images where ``apply`` (B,) bool.

    On a CPU the others are left alone; on a GPU all are changed and chosen from, since how many they are is not known
    there without waiting.
    """
    if images.device.type != "cpu":
        return torch.where(_each(apply), change(images), images)
    rows = apply.nonzero().flatten()
    return images.index_copy(0, rows, change(images[rows]))


def blur(images: Tensor, sigma: Tensor, reach: float = 3.0) -> Tensor:
    """Blur with a Gaussian of standard deviation ``sigma`` (B,) pixels; borders are mirrored, sigma 0 changes nothing.

    The kernel ends at ``reach`` standard deviations. It is applied to all images as two matrix products; on a CPU,
    where images are large, as sums of shifted pixels of those images that are blurred.
    """
    if images.device.type == "cpu" and min(images.shape[2:]) > SMALL:
        blurred = images.clone()
        for row in (sigma > 0).nonzero().flatten().tolist():
            blurred[row] = _blur_one(images[row], float(sigma[row]), reach)
        return blurred
    rows, columns = (_blur_matrix(side, sigma, reach) for side in images.shape[2:])
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).transpose(2, 3)


def _blur_one(image: Tensor, sigma: float, reach: float) -> Tensor:
    """Return an image (3, H, W) blurred; its sides are longer than the kernel reaches."""
    radius = min(math.floor(reach * sigma + 0.5), min(image.shape[1:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(radius + 1) / sigma).square())
    weights: list[float] = (kernel / (2 * kernel.sum() - 1)).tolist()
    padded = F.pad(image[None], (radius,) * 4, mode="reflect")[0]
    for dim in (1, 2):
        side = image.shape[dim]
        total = padded.narrow(dim, radius, side) * weights[0]
        for shift in range(1, radius + 1):
            around = padded.narrow(dim, radius - shift, side) + padded.narrow(dim, radius + shift, side)
            total.add_(around, alpha=weights[shift])
        padded = total
    return padded


def _blur_matrix(side: int, sigma: Tensor, reach: float) -> Tensor:
    """Return (B, side, side) matrices that blur a row, mirrored at both ends."""
    place = torch.arange(side, device=sigma.device, dtype=torch.float32)
    source = torch.arange(-side + 1, 2 * side - 1, device=sigma.device, dtype=torch.float32)
    distance = place[:, None] - source[None, :]
    width = sigma.clamp(min=1e-3).view(-1, 1, 1)
    weights = torch.exp(-0.5 * (distance / width).square()) * (distance.abs() <= reach * width + 0.5)
    mirrored = source.abs()
    mirrored = torch.where(mirrored > side - 1, 2 * (side - 1) - mirrored, mirrored).long()
    folded = torch.zeros(len(sigma), side, side, device=sigma.device)
    folded.index_add_(2, mirrored, weights)
    return folded / folded.sum(dim=2, keepdim=True)


JITTER: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)
"""The four operations of color jitter, in the order in which their parameters are drawn."""
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""Parameters with which they change nothing."""
