"""Several processes that train one model: what they tell each other, and which rows of a batch each has.

Every process computes the loss of the global batch from rows that `gather` brings together. The gradient that flows
back through it is summed over processes, and torch's DistributedDataParallel averages the gradients of weights; so
each weight gets the gradient of one process with the global batch. In one process everything here is the identity.
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
"""How long a process waits for the others; the first one may have to wait for a trainer that is still at work."""


def size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def primary() -> bool:
    """Return whether this process is the one that writes files."""
    return rank() == 0


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Train together with the processes that the environment names as `torchrun` does; alone if it names none.

    Tensors on the CPU go through gloo, those on a GPU through NCCL.
    """
    others = int(os.environ.get("WORLD_SIZE", "1"))
    if others == 1:
        yield
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=_meeting_place(others),
        rank=int(os.environ["RANK"]),
        world_size=others,
        timeout=PATIENCE,
        device_id=device if device.type == "cuda" else None,
    )
    yield
    # not after an error: others may still wait for this process, which is about to end
    dist.destroy_process_group()


def _meeting_place(others: int) -> Any:
    """Return where processes find each other: the file that `launch` names, or None for what `torchrun` says.

    A path and no address: torch takes the path of an address as it is written there, with %20 for a space.
    """
    if RENDEZVOUS not in os.environ:
        return None
    store = dist.FileStore(os.environ[RENDEZVOUS], others)  # type: ignore[attr-defined]
    store.set_timeout(PATIENCE)
    return store


# What processes tell each other


class _Gather(torch.autograd.Function):
    """The rows of all processes in the order of ranks; backward sums the gradient over processes and takes the own."""

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


def total(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without gradient."""
    if size() == 1:
        return value
    value = value.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(value)
    return value


def agree(number: int) -> int:
    """Return the largest of the numbers that the processes give; waits for all of them, but not for any GPU."""
    if size() == 1:
        return number
    answer = torch.tensor(number)
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return int(answer)


def follow_first(tensors: Iterable[Tensor]) -> None:
    """Set tensors to their values in the first process."""
    if size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


# Which rows of a batch a process has


@dataclass(frozen=True)
class Share:
    """The rows of a global batch that one process has: its part of the ``own`` ones and of the ``replayed`` ones.

    In the global batch the own rows come first; a process has one run of rows of each kind, in the same order.
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
        """Rows of the global batch."""
        return self.own + self.replayed

    @property
    def parts(self) -> tuple[Share, Share]:
        """This process's share of the own rows alone, and of the replayed rows alone."""
        return replace(self, replayed=0), replace(self, own=self.replayed, replayed=0)

    @property
    def runs(self) -> list[range]:
        """The positions of this process's rows in the global batch."""
        own, replayed = self.own // self.size, self.replayed // self.size
        first = self.own + self.rank * replayed
        both = [range(self.rank * own, (self.rank + 1) * own), range(first, first + replayed)]
        return [run for run in both if run]

    def take(self, rows: Tensor, dim: int = 0) -> Tensor:
        """Return this process's part of the rows of a global batch, which lie along ``dim``."""
        if self.size == 1:
            return rows
        return torch.cat([rows.narrow(dim, run.start, len(run)) for run in self.runs], dim)

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of the global batch, in its order and with gradient, from this process's part of them."""
        everything = gather(rows)
        if self.size == 1 or not self.replayed:
            return everything
        by_rank = everything.view(self.size, -1, *rows.shape[1:])
        own = self.own // self.size
        return torch.cat([by_rank[:, :own].flatten(0, 1), by_rank[:, own:].flatten(0, 1)])

    def gather_all(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return `gather` of several tensors (n, D) of one type, in one exchange."""
        if self.size == 1 or not tensors:
            return list(tensors)
        widths = [tensor.shape[1] for tensor in tensors]
        return list(torch.split(self.gather(torch.cat(list(tensors), dim=1)), widths, dim=1))
