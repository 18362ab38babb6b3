"""Backbones in files that other software wrote: plain state dicts and Lightning checkpoints, by a map of keys.

Nothing in such a file is executed: torch's restricted unpickler reads it, and classes it does not know (settings,
callbacks, metrics) are replaced by empty ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from cassle.core.errors import CheckpointError
from cassle.core.files import fingerprint_tensors, unreadable
from cassle.models.checkpoints import load_into
from cassle.nets.base import Backbone

ROOMS = ("state_dict", "model", "model_state_dict", "network")
"""Where files keep their tensors if not at the top."""
PREFIXES = ("", "backbone.", "encoder.", "model.", "module.", "module.backbone.", "module.encoder.")
"""What may stand before a backbone's keys, the likeliest first; anything else is accepted if it is the only one."""
COUNTER = "num_batches_tracked"
"""Counts BatchNorm's training steps; evaluation does not read it, and files of old torch releases lack it."""
STEM = "conv1.weight"
"""The first layer of a ResNet, whose side depends on that of the images."""


class Placeholder:
    """Stands for an object of a class that is of no interest; whatever a file says of it is ignored."""

    def __init__(self, *args: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def load_external(path: Path, backbone: Backbone) -> str:
    """Load a file's backbone strictly, print what of the file was left out, and return the tensors' fingerprint.

    Raises `CheckpointError` if the file cannot be read safely, or not every tensor of the backbone is in it.
    """
    tensors = find_tensors(read_external(path), path)
    own = backbone.state_dict()
    prefix = find_prefix(tensors, set(own), path)
    found = {key: tensors[prefix + key] for key in own if prefix + key in tensors}
    counters = {key: value for key, value in own.items() if key.endswith(COUNTER) and key not in found}
    check_stem(found, own, path)
    load_into(backbone, {**found, **counters}, str(path))
    rest = sorted(set(tensors) - {prefix + key for key in found})
    print(f"{path}: {len(found)} tensors of the backbone read" + (f" under '{prefix}'" if prefix else ""))
    if rest:
        print(f"left out: {len(rest)} others ({', '.join(groups_of(rest))})")
    return fingerprint_tensors(found)


def check_stem(found: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> None:
    """Raise `CheckpointError` for a network that was made for images of another size."""
    if STEM not in own or found[STEM].shape[2:] == own[STEM].shape[2:]:
        return
    theirs, ours = found[STEM].shape[-1], own[STEM].shape[-1]
    raise CheckpointError(
        f"the network in {path} begins with a {theirs}x{theirs} convolution, one for images of this size with "
        f"{ours}x{ours}; give the side of the images it was made for: --image_size {224 if theirs > ours else 32}"
    )


def read_external(path: Path) -> Any:
    """Return what a file of `torch.save` holds, objects of unknown classes replaced by placeholders."""
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; check the path")
    if path.suffix == ".safetensors":
        raise CheckpointError(
            f"{path} is no file of torch.save; write its tensors as one, where the package safetensors is installed: "
            f"torch.save(safetensors.torch.load_file('{path.name}'), 'plain.pt')"
        )
    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # not a zip archive: a file of torch before 1.6, or none of torch at all
        names = []
    try:
        with safe_globals([(type("Placeholder", (Placeholder,), {}), name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip or pickle can raise almost anything
        raise CheckpointError(
            f"cannot read {path} without running what it contains: {unreadable(error)}. Where you trust the file, "
            "write its tensors with the software that made it: "
            f"torch.save(torch.load('{path.name}', weights_only=False)['state_dict'], 'plain.pt')"
        ) from error


def find_tensors(value: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what a file holds: at the top, or in one of the usual places."""
    candidates = [value.get(room) for room in ROOMS] if isinstance(value, Mapping) else []
    for candidate in [*candidates, value]:
        if isinstance(candidate, Mapping):
            tensors = {str(key): item for key, item in candidate.items() if isinstance(item, Tensor)}
            if tensors:
                return tensors
    if any(isinstance(candidate, Placeholder) for candidate in [*candidates, value]):
        raise CheckpointError(
            f"{path} holds a whole network, whose code is not run here. Where you trust the file, load it with the "
            f"software that made it, torch.load('{path.name}', weights_only=False), and write the network's tensors: "
            "torch.save(network.state_dict(), 'plain.pt')"
        )
    raise CheckpointError(
        f"{path} holds no state dict: no mapping of names to tensors at the top or in {', '.join(ROOMS)}; write one "
        "with torch.save(network.state_dict(), 'plain.pt')"
    )


def find_prefix(tensors: Mapping[str, Tensor], keys: set[str], path: Path) -> str:
    """Return what stands before every key of the backbone in a file; `CheckpointError` if none does, or several do.

    The usual prefixes go first, so that ``encoder.`` is taken and ``momentum_encoder.`` beside it is not.
    """
    needed = {key for key in keys if not key.endswith(COUNTER)}
    first = min(needed)
    present = {key.removesuffix(first) for key in tensors if key.endswith(first)}
    complete = sorted(prefix for prefix in present if all(prefix + key in tensors for key in needed))
    for prefix in PREFIXES:
        if prefix in complete:
            return prefix
    if len(complete) == 1:
        return complete[0]
    if complete:
        raise CheckpointError(f"{path} holds several such backbones, under {', '.join(complete)}; keep one of them")
    nearest = max(sorted(present) or [""], key=lambda prefix: sum(prefix + key in tensors for key in needed))
    missing = sorted(key for key in needed if nearest + key not in tensors)
    raise CheckpointError(
        f"{path} does not hold this backbone: {len(missing)} of its {len(needed)} tensors are missing "
        f"(first: {nearest + missing[0]}); the file has {', '.join(groups_of(tensors))}. Is it another backbone?"
    )


def groups_of(keys: Any) -> list[str]:
    """Return the beginnings of keys, each with how many begin so.

    >>> groups_of(["fc.weight", "fc.bias", "projector.0.weight"])
    ['fc: 2', 'projector: 1']
    """
    counts: dict[str, int] = {}
    for key in keys:
        head = key.split(".")[0]
        counts[head] = counts.get(head, 0) + 1
    return [f"{head}: {count}" for head, count in sorted(counts.items())]
