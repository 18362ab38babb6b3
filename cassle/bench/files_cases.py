"""What `cassle bench files` measures, each in a process of its own; torch only where a case needs it."""

from __future__ import annotations

from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def prepare(told: Connection, root: str, image_size: int, index: str, cores: int) -> None:
    """Do what `cassle prepare` does to a folder."""
    from cassle.data.base import data_sets, write_index
    from cassle.data.report import describe_index
    from cassle.files import write_text

    data_set = data_sets.get("folder")(root=root, image_size=image_size)
    _tell_imported(told)
    made = data_set.index(None, cores)
    write_text(Path(index).with_name("prepare.md"), describe_index(made))
    write_index(index, made)
    told.send(("images", len(made.train.labels) + len(made.test.labels)))


def iterate(
    told: Connection,
    loader: str,
    root: str,
    image_size: int,
    index: str,
    training: dict[str, Any],
    threads: int,
    device: str,
    steps: int | None,
) -> None:
    """Read the index and make batches, as a training on all images of the folder would."""
    import torch

    from cassle.allocator import keep_freed_memory
    from cassle.data.base import read_index
    from cassle.data.check import verify
    from cassle.data.facts import IMAGENET_USUAL
    from cassle.data.file_images import FileImages
    from cassle.data.loaders import TaskRows, open_loader
    from cassle.data.views import Views
    from cassle.settings.training import Training

    module = import_module(f"cassle.data.loaders.{loader}")
    if loader == "dali":
        module.import_dali()
    torch.set_num_threads(threads)
    keep_freed_memory()
    _tell_imported(told)
    settings = Training.model_validate(training)
    part = read_index(index).train
    verify(Path(root), part, "folder")
    images = FileImages(Path(root), part, image_size, threads)
    rows = TaskRows(torch.arange(len(images)), torch.arange(len(images)), settings.batch_size, 0, 0)
    opened = open_loader(loader, images, rows, Views(settings.views, *IMAGENET_USUAL), torch.device(device), threads)
    done = 0
    for step, _ in enumerate(opened.epoch(0)):
        opened.online_batch(0, step)
        if step == 0:
            told.send(("first batch", 0))
        else:
            done += settings.batch_size
        if step + 1 == steps:
            break
    told.send(("images", done))
    opened.close()


def _tell_imported(told: Connection) -> None:
    """Say that nothing but imports has happened, and wait until it was looked at."""
    told.send(("imported", 0))
    told.recv()
