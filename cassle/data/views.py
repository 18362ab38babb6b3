"""Views of a whole batch at once, on the device of the images.

Every parameter is drawn as a tensor before any pixel changes, so that any view can be drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from cassle.data import color as color
from cassle.data.crop import crop_resize, crop_resize_each, draw_boxes, rotate
from cassle.data.jitter import blocks_of, draw_turns, jitter, jitter_sorted, orders_taken, strengths_of
from cassle.data.on_device import constant, send
from cassle.data.view_settings import ViewSettings
from cassle.runtime.distributed import RankShard
from cassle.tensors.batch import Batch

CACHED = 2**20
"""Elements of a view that are processed at a time on a CPU: 4 MB in float32."""


@dataclass(frozen=True)
class ViewParameters:
    """The random parameters of one view of B images.

    ``boxes`` (B, 4) crops; ``jitter`` (4, B) factors of brightness, contrast, saturation and shift of hue, neutral
    where the image is not jittered; ``turn`` (B,) int64 which of the 24 orders of jitter an image takes; ``gray``,
    ``solarize``, ``flip`` (B,) bool; ``sigma`` (B,) blur, 0 for none; ``degrees`` (B,) rotation.

    In a block of 24 consecutive images of the global batch every order occurs once (in the last, shorter block at most
    once); these images lie in ``blocks`` such blocks.
    """

    boxes: Tensor
    jitter: Tensor
    turn: Tensor
    gray: Tensor
    sigma: Tensor
    solarize: Tensor
    flip: Tensor
    degrees: Tensor
    blocks: int

    def to(self, device: torch.device) -> ViewParameters:
        """Return the same parameters on a device."""
        return self._each(lambda value, dim: send(value, device), self.blocks)

    def take(self, shard: RankShard) -> ViewParameters:
        """Return the parameters of a rank shard of the global batch."""
        return self._each(shard.take, sum(blocks_of(run) for run in shard.runs))

    def part(self, rows: Tensor) -> ViewParameters:
        """Return the parameters of some images."""
        return self._each(lambda value, dim: value.index_select(dim, rows), self.blocks)

    def _each(self, change: Callable[[Tensor, int], Tensor], blocks: int) -> ViewParameters:
        """Return parameters changed by a function of them and the dimension that images lie along."""
        drawn = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "blocks"}
        changed = {name: change(value, 1 if name == "jitter" else 0) for name, value in drawn.items()}
        return ViewParameters(**changed, blocks=blocks)


def draw(
    settings: ViewSettings, count: int, height: int | Tensor, width: int | Tensor, generator: torch.Generator
) -> ViewParameters:
    """Draw the parameters of one view of ``count`` images on the generator's device.

    Height and width in pixels are those of all images, or one number (B,) for each.
    """
    device = generator.device
    uniform = torch.rand(8, count, device=device, generator=generator)
    boxes = draw_boxes(count, height, width, settings.scale, settings.ratio, generator)
    jittered = uniform[0] < settings.jitter
    strengths = (settings.brightness, settings.contrast, settings.saturation, settings.hue)
    factors = [
        torch.where(jittered, max(neutral - strength, neutral - 1) * (1 - u) + (neutral + strength) * u, neutral)
        for neutral, strength, u in zip(color.NEUTRAL, strengths, uniform[1:5], strict=True)
    ]
    chance = torch.rand(4, count, device=device, generator=generator)
    turn, blocks = draw_turns(count, generator)
    low, high = settings.sigma
    return ViewParameters(
        boxes=boxes,
        jitter=torch.stack(factors),
        turn=turn,
        gray=uniform[5] < settings.gray,
        sigma=torch.where(chance[0] < settings.blur, low + (high - low) * chance[1], 0.0),
        solarize=chance[2] < settings.solarize,
        flip=chance[3] < settings.flip,
        degrees=(2 * uniform[6] - 1) * settings.rotate,
        blocks=blocks,
    )


def crop(images: Tensor, drawn: ViewParameters, settings: ViewSettings) -> Tensor:
    """Return the crops (B, 3, size, size) of images (B, 3, H, W) uint8, mirrored where drawn, as floats in 0-1.

    A crop mirrored first is the view mirrored last: what lies between treats left and right alike.
    """
    if images.device.type == "cpu" and min(images.shape[2:]) > color.SMALL:
        return crop_resize_each(images, drawn.boxes, settings.size, drawn.flip).float().div_(255)
    return crop_resize(images, drawn.boxes, settings.size, drawn.flip)


Crop = Callable[[Tensor, ViewParameters, ViewSettings], Tensor]


def apply(images: Tensor, drawn: ViewParameters, settings: ViewSettings, crop: Crop = crop) -> Tensor:
    """Return the view (B, 3, size, size), floats in 0-1, of images (B, 3, H, W) uint8.

    ``crop`` makes crops of images, for images that have been cropped elsewhere.
    """
    strengths = strengths_of(settings)
    if images.device.type == "cpu":
        return _apply_in_parts(images, drawn, settings, strengths, crop)
    view = crop(images, drawn, settings)
    if any(strengths):
        view = jitter(view, drawn.jitter, drawn.turn, drawn.blocks, strengths)
    return recolor(view, drawn, settings)


def _apply_in_parts(
    images: Tensor, drawn: ViewParameters, settings: ViewSettings, strengths: Sequence[float], crop: Crop
) -> Tensor:
    """Return the result of `apply`, computed in parts that fit into the cache of a CPU."""
    side = settings.size
    whole = torch.empty(len(images), 3, side, side)
    taken = orders_taken(drawn.turn, strengths)
    for rows in torch.split(taken.argsort(stable=True), max(1, CACHED // (3 * side * side))):
        part = drawn.part(rows)
        view = crop(images[rows], part, settings)
        jitter_sorted(view, part.jitter, taken[rows], strengths)
        whole.index_copy_(0, rows, recolor(view, part, settings))
    return whole


def recolor(view: Tensor, drawn: ViewParameters, settings: ViewSettings) -> Tensor:
    """Apply the operations after color jitter to floats (B, 3, S, S) in 0-1.

    Operations with probability 0 are skipped.
    """
    if settings.gray > 0:
        view = color.gray(view, drawn.gray)
    if settings.blur > 0:
        view = color.blur(view, drawn.sigma)
    if settings.solarize > 0:
        view = color.solarize(view, drawn.solarize)
    if settings.rotate > 0:
        view = rotate(view, drawn.degrees)
    return view


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (images - mean) / std per channel, for floats in 0-1."""
    center, width = (constant(values, images.device).view(1, 3, 1, 1) for values in (mean, std))
    return (images - center).div_(width)


def clean_view(images: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return images (B, 3, H, W) uint8 without augmentation: resized to (size, size) if need be, normalized."""
    return _clean(images, size, mean, std).contiguous(memory_format=torch.channels_last)


def _clean(images: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    if images.shape[-2:] != (size, size):
        height, width = images.shape[-2:]
        box = constant((0, 0, height, width), images.device).expand(len(images), 4)
        return normalize(crop_resize(images, box, size), mean, std)
    return normalize(images.float().div_(255), mean, std)


class Views:
    """Draw every view of a batch; the ``draw_views`` argument of `training_step`."""

    def __init__(self, settings: Sequence[ViewSettings], mean: Sequence[float], std: Sequence[float]) -> None:
        self.settings, self.mean, self.std = settings, mean, std

    def __call__(self, batch: Batch) -> list[Tensor]:
        """Return one (B, 3, S, S) tensor per view, in channels-last memory format.

        The parameters of an image depend on its row in the global batch, not on the number of processes.
        """
        assert batch.images is not None
        shard = batch.shard or RankShard(len(batch.images))
        height, width = batch.images.shape[-2:]
        views = []
        for settings in self.settings:
            drawn = draw(settings, shard.count, height, width, batch.generator).take(shard)
            view = normalize(apply(batch.images, drawn, settings), self.mean, self.std)
            views.append(view.contiguous(memory_format=torch.channels_last))
        return views

    def last(self) -> Views:
        """Return the `Views` of the last view only."""
        return Views(self.settings[-1:], self.mean, self.std)

    def clean(self, images: Tensor) -> Tensor:
        """Return the images without augmentation, at the size of the first view."""
        return clean_view(images, self.settings[0].size, self.mean, self.std)
