"""Random resized crops of a whole batch as two matrix products with Pillow's bicubic kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from cassle.data.on_device import constant


def cubic(x: Tensor, a: float = -0.5) -> Tensor:
    """Return Keys' cubic kernel; a = -0.5 is Pillow's (torch's own resampling uses -0.75)."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def resize_weights(start: Tensor, length: Tensor, side: int, out: int, mirror: Tensor | None = None) -> Tensor:
    """Return (B, out, side) matrices that resample the pixels [start, start + length) of a row to ``out`` pixels.

    ``start``, ``length`` (B,) in whole pixels; where ``mirror`` (B,) bool, the last output comes first. Weights reach
    no pixel outside the crop and are renormalized at its border; when shrinking, the kernel widens with the scale
    (antialiasing). This is Pillow's bicubic resize of the cropped image.
    """
    start, length = start.view(-1, 1, 1).float(), length.view(-1, 1, 1).float()
    scale = length / out
    width = scale.clamp(min=1.0)
    place = torch.arange(out, device=start.device).view(1, -1, 1)
    if mirror is not None:
        place = torch.where(mirror.view(-1, 1, 1), out - 1 - place, place)
    center = start + (place + 0.5) * scale
    taps = torch.arange(math.ceil(4 * max(1.0, side / out)) + 1, device=start.device)
    pixel = (center - 2 * width - 0.5).ceil() + taps
    weights = cubic((pixel + 0.5 - center) / width)
    weights = torch.where((pixel >= start) & (pixel < start + length), weights, 0.0)
    weights = weights / weights.sum(dim=2, keepdim=True)
    matrix = torch.zeros(len(start), out, side, device=start.device)
    return matrix.scatter_add_(2, pixel.clamp_(0, side - 1).long(), weights)


def crop_resize(
    images: Tensor, boxes: Tensor, size: int, mirror: Tensor | None = None, round_between: bool = False
) -> Tensor:
    """Return the boxes of the images resized to (B, 3, size, size), as floats in 0-1, by two matrix products.

    ``images`` (B, 3, H, W) uint8; ``boxes`` (B, 4) whole numbers top, left, height, width; crops are mirrored left and
    right where ``mirror`` (B,) bool. ``round_between`` rounds to whole gray levels after each pass, as Pillow does for
    8-bit images.
    """
    count, channels, high, wide = images.shape
    top, left, height, width = boxes.unbind(1)
    rows = resize_weights(top, height, high, size)
    columns = resize_weights(left, width, wide, size, mirror)
    pixels = images.reshape(count, channels * high, wide).float() @ columns.transpose(1, 2)
    if round_between:
        pixels = pixels.round_().clamp_(0, 255)
    pixels = rows.unsqueeze(1) @ pixels.view(count, channels, high, size)
    if round_between:
        pixels = pixels.round_()
    return pixels.clamp_(0, 255).div_(255)


def crop_resize_each(images: Iterable[Tensor], boxes: Tensor, size: int, mirror: Tensor) -> Tensor:
    """Return the boxes of images (3, H, W) uint8, of any sizes, resized to (B, 3, size, size) uint8, one by one.

    torch's antialiased bicubic resize uses Pillow's kernel and rounds between the passes as Pillow does. It takes only
    the pixels under the kernel, which beats matrix products on a CPU where images are large; on a GPU a batch of
    matrix products does.
    """
    crops = []
    for image, (top, left, height, width), turned in zip(images, boxes.int().tolist(), mirror.tolist(), strict=True):
        cut = image[None, :, top : top + height, left : left + width]
        crop = F.interpolate(cut, size=(size, size), mode="bicubic", antialias=True)
        crops.append(crop.flip(3) if turned else crop)
    return torch.cat(crops)


def draw_boxes(
    count: int,
    height: int | Tensor,
    width: int | Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
    tries: int = 10,
) -> Tensor:
    """Return (count, 4) boxes top, left, height, width drawn as torchvision's RandomResizedCrop draws them.

    ``height`` and ``width`` of all images, or (count,) of each. Area uniform in ``scale``, aspect ratio log-uniform in
    ``ratio``; the first of ``tries`` boxes that fits is taken, else the largest centered one of an allowed ratio.
    """
    device = generator.device
    sides = (side if isinstance(side, Tensor) else constant((side,), device) for side in (height, width))
    rows, columns = (side.to(device).double().view(-1, 1) for side in sides)
    area = torch.empty(count, tries, device=device).uniform_(*scale, generator=generator) * (rows * columns)
    log = torch.tensor(ratio).log().tolist()
    aspect = torch.empty(count, tries, device=device).uniform_(*log, generator=generator).exp()
    wide, high = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (wide >= 1) & (high >= 1) & (wide <= columns) & (high <= rows)
    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1, keepdim=True)
    whole = (columns / rows).clamp(*ratio)
    fallback_wide = torch.minimum(columns, (rows * whole).round()).clamp(min=1)
    fallback_high = torch.minimum(rows, (columns / whole).round()).clamp(min=1)
    wide = torch.where(any_fits, wide.gather(1, first), fallback_wide)
    high = torch.where(any_fits, high.gather(1, first), fallback_high)
    place = torch.rand(2, count, device=device, generator=generator).unsqueeze(2)
    top = torch.where(any_fits, (place[0] * (rows - high + 1)).floor(), ((rows - high) / 2).floor())
    left = torch.where(any_fits, (place[1] * (columns - wide + 1)).floor(), ((columns - wide) / 2).floor())
    return torch.cat([top, left, high, wide], dim=1).float()


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate images (B, 3, S, S) about their center by ``degrees`` (B,), bilinearly; the border is repeated."""
    turn = torch.deg2rad(degrees)
    cos, sin, zero = turn.cos(), turn.sin(), torch.zeros_like(turn)
    matrix = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
