"""Device and precision by what the machine can do, not by what it is called."""

from __future__ import annotations

import os
import re
from typing import Literal

import torch

from cassle.core.errors import SettingsError

Precision = Literal["fp32", "bf16", "fp16"]
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision -> the type that networks compute in under it; under any other, single precision."""
_DEVICE = re.compile(r"\d|GPU-|MIG-")
"""How CUDA_VISIBLE_DEVICES begins where it shows devices, such as those that a job has leased."""


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to use; ``auto`` is a visible GPU, one for each process of a training, else the CPU.

    Raises `SettingsError` where this job holds GPUs that PyTorch cannot use.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        if _DEVICE.match(held := os.environ.get("CUDA_VISIBLE_DEVICES", "")):
            raise SettingsError(_unusable(held))
        if wanted == "auto":
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


def _unusable(held: str) -> str:
    """Return what to say of GPUs that a job holds and PyTorch cannot use, and why, in PyTorch's own words."""
    built = "without CUDA" if torch.version.cuda is None else f"for CUDA {torch.version.cuda}"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        reason = "no GPU is found"
    except (AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
    return (
        f"this job holds GPU {held}, but torch {torch.__version__}, built {built}, cannot use it: {reason}. "
        "Update the driver, install a torch that is built for it, or train on the CPU: execution={device: cpu}"
    )


def resolve_precision(wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Return the precision to use; ``auto`` is bf16 where it is computed in hardware on a GPU, else fp32."""
    if wanted != "auto":
        if wanted == "fp16" and device.type == "cpu":
            raise SettingsError("execution.precision is 'fp16', which needs a GPU; use 'auto' or 'fp32'")
        return wanted
    hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if hardware else "fp32"
