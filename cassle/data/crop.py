"""Random resized crops of a whole batch as two matrix products with Pillow's bicubic kernel."""

from __future__ import annotations

import torch
from torch import Tensor


def cubic(x: Tensor, a: float = -0.5) -> Tensor:
    """Return Keys' cubic kernel; a = -0.5 is Pillow's (torch's own resampling uses -0.75)."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def resize_weights(start: Tensor, length: Tensor, side: int, out: int) -> Tensor:
    """Return (B, out, side) matrices that resample the pixels [start, start + length) of a row to ``out`` pixels.

    ``start``, ``length`` (B,) in whole pixels. Weights reach no pixel outside the crop and are renormalised at its
    border; when shrinking, the kernel widens with the scale (antialiasing). This is Pillow's bicubic resize of the
    cropped image.
    """
    start, length = start.view(-1, 1, 1).float(), length.view(-1, 1, 1).float()
    scale = length / out
    width = scale.clamp(min=1.0)
    centre = start + (torch.arange(out, device=start.device).view(1, -1, 1) + 0.5) * scale
    pixel = torch.arange(side, device=start.device).view(1, 1, -1)
    weights = cubic((pixel + 0.5 - centre) / width)
    inside = (pixel >= start) & (pixel < start + length)
    weights = torch.where(inside, weights, 0.0)
    return weights / weights.sum(dim=2, keepdim=True)


def crop_resize(images: Tensor, boxes: Tensor, size: int, round_between: bool = False) -> Tensor:
    """Return the boxes of the images resized to (B, 3, size, size), as floats in 0-1.

    ``images`` (B, 3, H, W) uint8; ``boxes`` (B, 4) whole numbers top, left, height, width. ``round_between`` rounds to
    whole grey levels after each pass, as Pillow does for 8-bit images.
    """
    top, left, height, width = boxes.unbind(1)
    rows = resize_weights(top, height, images.shape[2], size)
    columns = resize_weights(left, width, images.shape[3], size)
    pixels = images.float() @ columns.unsqueeze(1).transpose(2, 3)
    if round_between:
        pixels = pixels.round_().clamp_(0, 255)
    pixels = rows.unsqueeze(1) @ pixels
    if round_between:
        pixels = pixels.round_()
    return pixels.clamp_(0, 255).div_(255)


def draw_boxes(
    count: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
    tries: int = 10,
) -> Tensor:
    """Return (count, 4) boxes top, left, height, width drawn as torchvision's RandomResizedCrop draws them.

    Area uniform in ``scale``, aspect ratio log-uniform in ``ratio``; the first of ``tries`` boxes that fits is taken,
    else the largest centred one of an allowed ratio.
    """
    device = generator.device
    area = torch.empty(count, tries, device=device).uniform_(*scale, generator=generator) * (height * width)
    log = torch.tensor(ratio).log().tolist()
    aspect = torch.empty(count, tries, device=device).uniform_(*log, generator=generator).exp()
    wide, high = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (wide >= 1) & (high >= 1) & (wide <= width) & (high <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1)
    whole = min(max(width / height, ratio[0]), ratio[1])
    fallback_wide = float(max(1, min(width, round(height * whole))))
    fallback_high = float(max(1, min(height, round(width / whole))))
    wide = torch.where(any_fits, wide.gather(1, first).squeeze(1), fallback_wide)
    high = torch.where(any_fits, high.gather(1, first).squeeze(1), fallback_high)
    place = torch.rand(2, count, device=device, generator=generator)
    top = torch.where(any_fits, (place[0] * (height - high + 1)).floor(), ((height - high) / 2).floor())
    left = torch.where(any_fits, (place[1] * (width - wide + 1)).floor(), ((width - wide) / 2).floor())
    return torch.stack([top, left, high, wide], dim=1)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate images (B, 3, S, S) about their centre by ``degrees`` (B,), bilinearly; the border is repeated."""
    turn = torch.deg2rad(degrees)
    cos, sin, zero = turn.cos(), turn.sin(), torch.zeros_like(turn)
    matrix = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
