"""Which GPUs there are for this process: those that a batch system or a variable names, else those of the machine."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import takewhile

BATCH_SYSTEMS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "FLUX_JOB_ID", "OAR_JOB_ID", "_CONDOR_SLOT")
"""Variables that name the job a batch system has given this process."""
_NAME = re.compile(r"\d+|(GPU|MIG)-\S+")


def batch_job() -> str | None:
    """Return the id of the batch job this process belongs to, or None."""
    return next((os.environ[name] for name in BATCH_SYSTEMS if os.environ.get(name)), None)


def visible_devices() -> list[str]:
    """Return the devices this process may choose from: indices, or names that begin with GPU- or MIG-.

    They come from CASSLE_DEVICES, else CUDA_VISIBLE_DEVICES (as in CUDA, nothing counts from the first invalid name
    on, so "" and "-1" mean none), else from nvidia-smi; a batch job that was given none by name has none.
    """
    chosen = os.environ.get("CASSLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if chosen is None:
        return [] if batch_job() else [name for parts in _machine() for name in parts]
    return list(takewhile(_NAME.fullmatch, (name.strip() for name in chosen.split(","))))


def _machine() -> list[list[str]]:
    """Return the UUID of each GPU, or those of its MIG instances; [] where nvidia-smi is missing or fails."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    gpus: list[list[str]] = []
    for name in re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", listed):
        if name.startswith("GPU-"):
            gpus.append([name])
        else:
            gpus[-1] = [part for part in gpus[-1] if part.startswith("MIG-")] + [name]
    return gpus


def by_hardware(names: list[str]) -> dict[str, str]:
    """Return UUID -> given name: an index, a UUID and its abbreviation are one device to everybody.

    Indices count in nvidia-smi's order; without nvidia-smi a name stands for itself.
    """
    gpus = _machine() if names else []
    devices: dict[str, str] = {}
    for name in names:
        if name.isdigit():
            uuid = gpus[int(name)][0] if int(name) < len(gpus) else name
        else:
            uuid = next((part for parts in gpus for part in parts if part.startswith(name)), name)
        devices.setdefault(uuid, name)
    return devices
