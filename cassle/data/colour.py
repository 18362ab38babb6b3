"""Colour operations on batches, with one parameter per image.

All take float images (B, 3, H, W) in 0-1 and return the same; factors are (B,). They agree with torchvision's functions
of the same names, which apply one parameter to a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601), as Pillow and torchvision use them."""


def luminance(images: Tensor) -> Tensor:
    """Return the brightness (B, 1, H, W)."""
    red, green, blue = images.unbind(1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue).unsqueeze(1)


def _each(factor: Tensor) -> Tensor:
    return factor.view(-1, 1, 1, 1)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(other.expand_as(images), images, _each(factor)).clamp_(0, 1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor."""
    return (images * _each(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from (factor above 1) or towards the image's mean brightness."""
    return _blend(images, luminance(images).mean(dim=(2, 3), keepdim=True), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from (factor above 1) or towards grey."""
    return _blend(images, luminance(images), factor)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by ``shift`` turns, keeping value and chroma."""
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    safe = torch.where(chroma == 0, 1.0, chroma)
    red, green, blue = images.unbind(1)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sector / 6 + shift.view(-1, 1, 1)
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1)
    k = (offsets + 6 * turned.unsqueeze(1)).remainder(6)
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * ramp


def grey(images: Tensor, apply: Tensor) -> Tensor:
    """Turn the images grey where ``apply`` (B,) bool."""
    return torch.where(_each(apply), luminance(images), images)


def solarise(images: Tensor, apply: Tensor) -> Tensor:
    """Invert pixels of 128/255 and above where ``apply`` (B,) bool."""
    return torch.where(_each(apply) & (images >= 128 / 255), 1 - images, images)


def flip(images: Tensor, apply: Tensor) -> Tensor:
    """Mirror left and right where ``apply`` (B,) bool."""
    return torch.where(_each(apply), images.flip(3), images)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur with a Gaussian of standard deviation ``sigma`` (B,) pixels; borders are mirrored, sigma 0 changes nothing.

    The kernel of every image is applied as two matrix products, which keeps it one operation for the batch.
    """
    rows = _blur_matrix(images.shape[2], sigma)
    columns = _blur_matrix(images.shape[3], sigma)
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).transpose(2, 3)


def _blur_matrix(side: int, sigma: Tensor, reach: float = 3.0) -> Tensor:
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
"""The four operations of colour jitter, in the order in which their parameters are drawn."""
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""Parameters with which they change nothing."""
