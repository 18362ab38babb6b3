"""Counting how often a value is read back from the device, which makes a GPU wait."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READING = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.is_nonzero)


class CountReads(TorchDispatchMode):
    """Counts the operations inside its block that read a value."""

    reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += func.overloadpacket in READING
        return func(*args, **(kwargs or {}))
