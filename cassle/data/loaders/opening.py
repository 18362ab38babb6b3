"""Selection of the loader by ``execution.loader``; each loader is imported only if it is selected."""

from __future__ import annotations

import torch

from cassle.core.errors import SettingsError
from cassle.data.base import InMemory
from cassle.data.file_images import FileImages
from cassle.data.loaders.base import Loader
from cassle.data.loaders.rows import TaskRows
from cassle.data.views import Views


def open_loader(
    choice: str,
    images: FileImages | InMemory,
    rows: TaskRows,
    views: Views,
    device: torch.device,
    threads: int,
) -> Loader:
    """Return the loader that ``execution.loader`` names.

    ``auto`` depends on the dataset, never on the machine, since loaders differ in the last digits of their pixels:
    ``device`` where the images are in memory, ``torchvision`` where they are files. ``threads`` are those of the job.
    """
    resident = isinstance(images, InMemory)
    name = ("device" if resident else "torchvision") if choice == "auto" else choice
    if isinstance(images, InMemory) and name == "device":
        from cassle.data.loaders.device import DeviceLoader

        return DeviceLoader(images.to(device), rows.to(device))
    rows = rows if name == "device" else rows.to("cpu")  # files are read by processes and threads of the host
    if name == "torchvision":
        from cassle.data.loaders.torchvision import TorchvisionLoader

        return TorchvisionLoader(images, rows, views, device, threads)
    if isinstance(images, FileImages) and name == "dali":
        from cassle.data.loaders.dali import DaliLoader

        return DaliLoader(images, rows, views, device, threads)
    kind = "lie in memory" if resident else "stay in files"
    raise SettingsError(f"loader '{name}' does not fit a dataset whose images {kind}; take execution={{loader: auto}}")
