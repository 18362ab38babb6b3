"""The queue of past projections that MoCo, NNCLR and ReSSL keep in a buffer."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def push(queue: Tensor, pointer: Tensor, latest: Tensor, dim: int = 0) -> None:
    """Overwrite the oldest K entries of a ring along ``dim`` with the latest ones, in place.

    ``pointer`` () int64 is the entry written next; of more than K latest ones, the last K stay.
    """
    size = queue.shape[dim]
    latest = latest[(slice(None),) * dim + (slice(-size, None),)].to(queue.dtype)
    count = latest.shape[dim]
    places = (pointer + torch.arange(count, device=queue.device)) % size
    queue.index_copy_(dim, places, latest)
    pointer.add_(count).remainder_(size)
