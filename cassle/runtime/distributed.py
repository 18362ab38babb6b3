"""The process group of one training: its collective operations, and the shard of a batch that each rank has.

Every process computes the loss of the global batch from the rows of all processes (`gather`). The gradient that flows
back through it is summed over processes, and torch's DistributedDataParallel averages the gradients of weights; so
each weight has the gradient of one process with the global batch. In one process everything here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.runtime.launch import RENDEZVOUS

PATIENCE = timedelta(days=1)
"""Time limit of a collective operation; the first process may wait for another trainer's lock."""


def size() -> int:
    """Return the number of processes in the group; 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def primary() -> bool:
    """Return whether this process writes the files: rank 0."""
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Initialize the process group that the environment describes as `torchrun` does, if there is one.

    CPU tensors use gloo, GPU tensors NCCL.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=_rendezvous(count),
        rank=int(os.environ["RANK"]),
        world_size=count,
        timeout=PATIENCE,
        device_id=device if device.type == "cuda" else None,
    )
    yield
    # not after an error: other processes may still wait for this one, which is about to end
    dist.destroy_process_group()


def _rendezvous(count: int) -> Any:
    """Return the store of the rendezvous: the file that `launch` names, or None for the address of `torchrun`.

    The store is opened by path, since torch does not decode a `file://` address (%20 for a space).
    """
    if RENDEZVOUS not in os.environ:
        return None
    store = dist.FileStore(os.environ[RENDEZVOUS], count)  # type: ignore[attr-defined]
    store.set_timeout(PATIENCE)
    return store


# Collective operations


class _Gather(torch.autograd.Function):
    """All-gather rows in rank order; the backward pass sums the gradient over processes and returns the own rows'."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        everything = rows.new_empty(size() * len(rows), *rows.shape[1:])
        dist.all_gather_into_tensor(everything, rows.contiguous())
        return everything

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        own = gradient.new_empty(len(gradient) // size(), *gradient.shape[1:])
        dist.reduce_scatter_tensor(own, gradient.contiguous())
        return own


def gather(rows: Tensor) -> Tensor:
    """Return rows (n, ...) of all processes, (size n, ...), in the order of ranks, with gradient."""
    return rows if size() == 1 else _Gather.apply(rows)  # type: ignore[no-any-return, no-untyped-call]


def all_reduce_sum(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes (all-reduce), without gradient."""
    if size() == 1:
        return value
    value = value.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(value)
    return value


def all_reduce_max(number: int) -> int:
    """Return the maximum of a number over all processes; wait for all processes, but for no GPU."""
    if size() == 1:
        return number
    answer = torch.tensor(number)
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return int(answer)


def broadcast_from_first(tensors: Iterable[Tensor]) -> None:
    """Broadcast tensors from the first process, in place."""
    if size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


# Shards of a batch


@dataclass(frozen=True)
class RankShard:
    """The rows of a global batch that one rank has: its part of the ``own`` rows and of the ``replayed`` rows.

    In the global batch the own rows come first. A shard is one range of rows of each kind, in the same order.
    """

    own: int
    replayed: int = 0
    rank: int = field(default_factory=rank)
    size: int = field(default_factory=size)

    def __post_init__(self) -> None:
        for count, what in ((self.own, "batch"), (self.replayed, "replay")):
            if count % self.size:
                raise SettingsError(
                    f"a {what} of {count} images cannot be shared evenly by {self.size} processes; change its size or "
                    "execution.gpus (on the CPU execution.processes)"
                )

    @property
    def count(self) -> int:
        """Number of rows of the global batch."""
        return self.own + self.replayed

    @property
    def parts(self) -> tuple[RankShard, RankShard]:
        """The shard of the own rows only, and of the replayed rows only."""
        return replace(self, replayed=0), replace(self, own=self.replayed, replayed=0)

    @property
    def runs(self) -> list[range]:
        """The ranges of this shard's rows in the global batch."""
        own, replayed = self.own // self.size, self.replayed // self.size
        first = self.own + self.rank * replayed
        both = [range(self.rank * own, (self.rank + 1) * own), range(first, first + replayed)]
        return [run for run in both if run]

    def take(self, rows: Tensor, dim: int = 0) -> Tensor:
        """Return this shard of the rows of a global batch along ``dim``."""
        if self.size == 1:
            return rows
        return torch.cat([rows.narrow(dim, run.start, len(run)) for run in self.runs], dim)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of the global batch, in its order and with gradient, from the rows of every shard."""
        everything = gather(rows)
        if self.size == 1 or not self.replayed:
            return everything
        by_rank = everything.view(self.size, -1, *rows.shape[1:])
        own = self.own // self.size
        return torch.cat([by_rank[:, :own].flatten(0, 1), by_rank[:, own:].flatten(0, 1)])

    def gather_many(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return `gather` of several tensors (n, D) of one type, in one all-gather."""
        if self.size == 1 or not tensors:
            return list(tensors)
        widths = [tensor.shape[1] for tensor in tensors]
        return list(torch.split(self.gather(torch.cat(list(tensors), dim=1)), widths, dim=1))
