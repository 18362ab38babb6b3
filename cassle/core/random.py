"""Random generators seeded by purpose, independent of earlier draws."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*key: int | str) -> int:
    """Return the 63-bit seed of a key such as ``(run_seed, "views", task, epoch, step)``.

    >>> seed_of(0, "views", 1) == seed_of(0, "views", 1) != seed_of(0, "views", 2)
    True
    """
    text = "/".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for a key; the same key gives the same draws, independent of other draws."""
    made = torch.Generator(device=device)
    made.manual_seed(seed_of(*key))
    return made
