"""Device and precision by what the machine can do, not by what it is called."""

from __future__ import annotations

import os
from typing import Literal

import torch

from cassle.errors import SettingsError

Precision = Literal["fp32", "bf16", "fp16"]


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to use; ``auto`` is a visible GPU, one for each process of a training, else the CPU."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if count == 0:
        raise SettingsError("execution.device is 'cuda' but no GPU is visible to this job; use 'auto' or 'cpu'")
    if number >= count:
        raise SettingsError(f"process {number} of this training has no GPU, as {count} are visible; use 'cpu' or fewer")
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """Return the device as results name it: the GPU's product name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def resolve_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Return the precision to use; ``auto`` is bf16 where it is computed in hardware on a GPU, else fp32."""
    if wanted != "auto":
        if wanted == "fp16" and device.type == "cpu":
            raise SettingsError("execution.precision is 'fp16', which needs a GPU; use 'auto' or 'fp32'")
        return wanted
    hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if hardware else "fp32"
