"""Device and precision by what the machine can do, not by what it is called."""

from __future__ import annotations

from typing import Literal

import torch

from cassle.errors import SettingsError

Precision = Literal["fp32", "bf16", "fp16"]


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to use; ``auto`` is the visible GPU, else the CPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise SettingsError("execution.device is 'cuda' but no GPU is visible to this job; use 'auto' or 'cpu'")
    return torch.device("cuda", 0) if wanted != "cpu" and torch.cuda.is_available() else torch.device("cpu")


def resolve_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Return the precision to use; ``auto`` is bf16 where it is computed in hardware on a GPU, else fp32."""
    if wanted != "auto":
        if wanted == "fp16" and device.type == "cpu":
            raise SettingsError("execution.precision is 'fp16', which needs a GPU; use 'auto' or 'fp32'")
        return wanted
    hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if hardware else "fp32"
