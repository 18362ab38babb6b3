"""Color jitter of a batch, with an order of the operations per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

from cassle.data import color as color
from cassle.data.view_settings import ViewSettings

ORDERS = tuple(permutations(range(len(color.JITTER))))
"""The 24 orders of the operations of color jitter."""


def blocks_of(run: range) -> int:
    """Return how many blocks of 24 rows a range of rows intersects."""
    return -(-run.stop // len(ORDERS)) - run.start // len(ORDERS)


def draw_turns(count: int, generator: torch.Generator) -> tuple[Tensor, int]:
    """Return the order (B,) int64 of each image, one of 24, and the number of blocks of 24 images.

    Every order occurs once in a block, in the last, shorter one at most once.
    """
    blocks = blocks_of(range(count))
    turns = torch.rand(blocks, len(ORDERS), device=generator.device, generator=generator).argsort(dim=1)
    return turns.flatten()[:count], blocks


def strengths_of(settings: ViewSettings) -> tuple[float, float, float, float]:
    """Return the strengths of the four operations of color jitter, in the order of their parameters; 0 if unused."""
    if settings.jitter == 0:
        return 0.0, 0.0, 0.0, 0.0
    return settings.brightness, settings.contrast, settings.saturation, settings.hue


def orders_of(strengths: Sequence[float]) -> list[tuple[int, ...]]:
    """Return the orders of the operations in use: 24, 6, 2 or 1, each of which stands for equally many turns."""
    used = [number for number, strength in enumerate(strengths) if strength > 0]
    return sorted({tuple(op for op in order if op in used) for order in ORDERS})


def orders_taken(turn: Tensor, strengths: Sequence[float]) -> Tensor:
    """Return (B,) which of `orders_of` the operations each image takes."""
    return turn // (len(ORDERS) // len(orders_of(strengths)))


@lru_cache(maxsize=64)
def stages(room: int, strengths: tuple[float, ...], device: torch.device) -> list[tuple[int, Tensor]]:
    """Return the sequence of jitter: an operation, and the slots (n,) of the images it is applied to.

    Each order has ``room`` slots. There are as many stages as operations; in each stage every image gets the next
    operation of its order.
    """
    orders = orders_of(strengths)
    steps = []
    for stage in range(len(orders[0])):
        for op in sorted(orders[0]):
            mine = [number for number, order in enumerate(orders) if order[stage] == op]
            places = [place for number in mine for place in range(number * room, (number + 1) * room)]
            steps.append((op, torch.tensor(places, dtype=torch.int64, device=device)))
    return steps


def jitter(images: Tensor, factors: Tensor, turn: Tensor, blocks: int, strengths: Sequence[float]) -> Tensor:
    """Apply the color operations to each image in the order that ``turn`` gives it.

    ``turn`` and ``blocks`` as `draw_turns` gives them. Images are grouped by their order, in as many slots as an
    order can have images at most; an empty slot holds any image. So no shape depends on the random draw.
    """
    orders = len(orders_of(strengths))
    room, count = blocks * len(ORDERS) // orders, len(images)
    kind = orders_taken(turn, strengths)
    before = (kind[:, None] == torch.arange(orders, device=turn.device)).cumsum(dim=0)
    place = kind * room + before.gather(1, kind[:, None]).squeeze(1) - 1
    row = turn.new_full((orders * room,), count)
    row.scatter_(0, place, torch.arange(count, device=turn.device))
    source = row.clamp(max=count - 1)
    dealt, own = images[source], factors[:, source]
    for op, places in stages(room, tuple(strengths), images.device):
        dealt.index_copy_(0, places, color.JITTER[op](dealt[places], own[op, places]))
    return images.new_empty(count + 1, *images.shape[1:]).index_copy_(0, row, dealt)[:count]


def jitter_sorted(images: Tensor, factors: Tensor, taken: Tensor, strengths: Sequence[float]) -> None:
    """Apply the color operations in place to images that are sorted by the order they take, on a CPU.

    ``taken`` as `orders_taken` gives it, rising.
    """
    orders = orders_of(strengths)
    first = 0
    for number, count in Counter(taken.tolist()).items():
        mine = slice(first, first + count)
        for op in orders[number]:
            images[mine] = color.JITTER[op](images[mine], factors[op, mine])
        first += count
