"""Checkpoints: two parts of tensors and their provenance; loaded strictly, without executing code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from cassle.contracts.records import Provenance, record_of
from cassle.core.errors import CheckpointError, DataError
from cassle.core.files import fingerprint, fingerprint_tensors, load_tensors, save_tensors

FORMAT = 2
"""Raised when the meaning of a checkpoint's fields changes."""


@dataclass(frozen=True)
class Checkpoint:
    """``model``: backbone, objective and online classifier; ``strategy``: what the strategy learned or stored.

    ``provenance``: the specification, fingerprints of inputs and code, versions; no time, no host.
    """

    model: dict[str, Tensor]
    strategy: dict[str, Tensor]
    provenance: Provenance

    @property
    def fingerprint(self) -> str:
        """Sixteen digits that name the tensors and their provenance."""
        parts = {f"model.{k}": v for k, v in self.model.items()} | {
            f"strategy.{k}": v for k, v in self.strategy.items()
        }
        return fingerprint([fingerprint_tensors(parts), self.provenance.as_json()])


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, completely or not at all."""
    save_tensors(
        path,
        {
            "format": FORMAT,
            "model": {k: v.detach().cpu() for k, v in checkpoint.model.items()},
            "strategy": {k: v.detach().cpu() for k, v in checkpoint.strategy.items()},
            "provenance": checkpoint.provenance.as_json(),
        },
    )


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint to the CPU; `CheckpointError` if it is damaged or of another kind."""
    value = load_tensors(path)
    if not isinstance(value, dict) or "format" not in value:
        raise CheckpointError(f"{path} is not a checkpoint of this software: it has no parts 'model' and 'strategy'")
    if value["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {value['format']}, this version reads {FORMAT}; retrain it"
        )
    for part in ("model", "strategy"):
        tensors = value.get(part)
        if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise CheckpointError(f"{path} is damaged: its part '{part}' holds no named tensors; retrain it")
    try:
        provenance = record_of(Provenance, value.get("provenance"), f"{path}, provenance")
    except DataError as error:
        raise CheckpointError(str(error)) from error
    return Checkpoint(value["model"], value["strategy"], provenance)


def load_into(module: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Load a state dict strictly; `CheckpointError` that says in one line what differs."""
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    shapes = [
        f"{key} is {tuple(tensors[key].shape)} there, {tuple(own[key].shape)} here"
        for key in sorted(set(own) & set(tensors))
        if own[key].shape != tensors[key].shape
    ]
    if missing or extra or shapes:
        parts = [
            f"{len(names)} {kind} (first: {names[0]})"
            for kind, names in (("missing", missing), ("unexpected", extra), ("of another shape", shapes))
            if names
        ]
        raise CheckpointError(
            f"{what} does not fit this network: tensors {'; '.join(parts)}. Is it of another backbone?"
        )
    module.load_state_dict(tensors)
