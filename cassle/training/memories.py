"""Memory files: what a strategy keeps from task to task, and what made it; loaded strictly, executing nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cassle.errors import CheckpointError
from cassle.files import fingerprint, fingerprint_tensors, load_tensors, save_tensors
from cassle.options import differences

FORMAT = 1
"""Raised when the meaning of a memory's fields changes."""


@dataclass(frozen=True)
class MemoryFile:
    """``tensors``: positions in the training half, outputs, weights; never pixels.

    ``meta``: JSON-like: the settings (`spec`), fingerprints of the checkpoint (`parent`), of the memory before it
    (`memory`), of data and code, versions; no time, no host.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that name the tensors and what made them."""
        return fingerprint([fingerprint_tensors(self.tensors), self.meta])


def save_memory(path: str | Path, memory: MemoryFile) -> None:
    """Write a memory, completely or not at all."""
    tensors = {key: value.detach().cpu() for key, value in memory.tensors.items()}
    save_tensors(path, {"format": FORMAT, "memory": tensors, "meta": memory.meta})


def load_memory(path: str | Path) -> MemoryFile:
    """Read a memory to the CPU; `CheckpointError` if it is damaged or of another kind."""
    value = load_tensors(path)
    if not isinstance(value, dict) or not {"format", "memory", "meta"} <= set(value):
        raise CheckpointError(f"{path} is not a memory: `cassle remember` writes such files")
    if value["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has memory format {value['format']}, this version reads {FORMAT}; delete it and run again"
        )
    return MemoryFile(value["memory"], value["meta"])


def check_memory(path: str | Path, memory: MemoryFile, spec: dict[str, Any], parent: str | None, data: str) -> None:
    """Raise `CheckpointError` unless a memory belongs to the task before ``spec``'s, of the same run and data.

    ``parent``: fingerprint of the checkpoint that the memory must have been made from, None for any.
    """
    made = memory.meta["spec"]
    if made["task"] != spec["task"] - 1:
        raise CheckpointError(
            f"{path} is the memory after task {made['task']}; task {spec['task']} needs that after {spec['task'] - 1}"
        )
    if other := differences(made["strategy"], spec["strategy"]):
        raise CheckpointError(f"{path} belongs to a run whose strategy differs in {', '.join(other)}")
    if memory.meta["data"] != data:
        raise CheckpointError(f"{path} counts images of other data than this index; make it again")
    if parent not in (None, memory.meta["parent"]):
        raise CheckpointError(f"{path} was made from another checkpoint than the one this task goes on from")
