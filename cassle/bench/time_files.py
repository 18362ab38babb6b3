"""Time and memory of preparing and iterating a directory of many image files.

Each case is a process of its own. Its memory is the proportional set size (PSS) of it and all processes it started,
looked at ten times a second; a page that several share counts once.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from pydantic import Field

from cassle.bench.base import as_text, begin, rate, result
from cassle.bench.workload import RecipeSettings, pictures, specs
from cassle.cli.execution import available_cores
from cassle.core.errors import CassleError
from cassle.data.loaders.dali import dali_is_installed
from cassle.settings.site import Site


def prepare(reported: Connection, root: str, image_size: int, index: str, cores: int) -> None:
    """Prepare a directory as `cassle prepare` does."""
    from cassle.core.files import write_text
    from cassle.data.base import datasets, write_index
    from cassle.data.report import describe_index

    dataset = datasets.get("folder")(root=root, image_size=image_size)
    _report_imports(reported)
    made = dataset.index(None, cores)
    write_text(Path(index).with_name("prepare.md"), describe_index(made))
    write_index(index, made)
    reported.send(("images", len(made.train.labels) + len(made.test.labels)))


def iterate(
    reported: Connection,
    loader: str,
    root: str,
    image_size: int,
    index: str,
    training: dict[str, Any],
    threads: int,
    device: str,
    steps: int | None,
) -> None:
    """Read the index and draw batches, as a training on all images of the directory does."""
    import torch

    from cassle.data.base import read_index
    from cassle.data.check import verify
    from cassle.data.facts import IMAGENET_USUAL
    from cassle.data.file_images import FileImages
    from cassle.data.loaders import TaskRows, open_loader
    from cassle.data.views import Views
    from cassle.runtime.allocator import keep_freed_memory
    from cassle.settings.recipe import Training

    module = import_module(f"cassle.data.loaders.{loader}")
    if loader == "dali":
        module.import_dali()
    torch.set_num_threads(threads)
    keep_freed_memory()
    _report_imports(reported)
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
            reported.send(("first batch", 0))
        else:
            done += settings.batch_size
        if step + 1 == steps:
            break
    reported.send(("images", done))
    opened.close()


def _report_imports(reported: Connection) -> None:
    """Report the end of imports, and wait until the memory was measured."""
    reported.send(("imported", 0))
    reported.recv()


__all__ = ["BenchSettings", "as_text", "measure"]

LOOK_EVERY = 0.1
"""Seconds between two measurements of a case's memory."""
CLASSES, CONTENTS = 100, 64


class BenchSettings(RecipeSettings):
    """A folder of image files, prepared and then iterated with the views of a recipe."""

    dataset: str = Field("cifar100", description="dataset whose sizes and recipe are taken")
    images: int = Field(100_000, gt=0, description="training images that are made up, in 100 classes")
    root: str | None = Field(None, description="folder with train and val to look at in their place")
    steps: int | None = Field(None, gt=0, description="batches that a loader makes; null: an epoch")
    loaders: list[str] = Field(default=["torchvision", "dali"], description="loaders; dali only if it is installed")
    rounds: int = Field(1, gt=0, description="processes of every case that are counted")


def measure(settings: BenchSettings, site: Site) -> dict[str, Any]:
    """Return images per second, seconds to the first batch and peak memory of `cassle prepare` and of every loader."""
    device = begin(site)
    training = specs(settings.words())[0].training.model_dump(mode="json")
    facts, cores = settings.facts(), available_cores()
    with tempfile.TemporaryDirectory() as made:
        root = Path(settings.root).resolve() if settings.root else make_files(Path(made) / "files", settings)
        index = f"{made}/index.npz"
        given = (str(root), facts.image_size, index)
        rows = [_row("prepare", [watched(prepare, *given, cores) for _ in range(settings.rounds)])]
        for name in settings.loaders:
            if name != "dali" or dali_is_installed():
                job = (name, *given, training, site.execution.threads, str(device), settings.steps)
                rows.append(_row(name, [watched(iterate, *job) for _ in range(settings.rounds)]))
    return result("files", settings, site, device, rows)


def make_files(root: Path, settings: BenchSettings) -> Path:
    """Write images of slightly different sizes, few contents again and again, and one test image per class."""
    height, width = settings.image_size()
    images = pictures(CONTENTS + 1, height + 8, width + 8).permute(0, 2, 3, 1).numpy()
    sources = [root / f"source{place}.jpg" for place in range(CONTENTS + 1)]
    root.mkdir()
    for place, source in enumerate(sources):
        Image.fromarray(images[place, place % 9 :, place % 7 :]).save(source, quality=90)
    for half, count in (("train", settings.images), ("val", CLASSES)):
        for label in range(CLASSES):
            (root / half / f"class_{label:03d}").mkdir(parents=True)
        for place in range(count):
            source = sources[place % CONTENTS if half == "train" else CONTENTS]
            shutil.copyfile(source, root / half / f"class_{place % CLASSES:03d}" / f"picture_{place:07d}.jpg")
    return root


def watched(case: Callable[..., None], *given: Any) -> dict[str, float]:
    """Run a case in a new process; return its messages, their seconds, and its memory in MiB.

    A case sends ``imported``, waits for an answer, and sends other moments by name; last comes ``images`` with their
    number. Raises `CassleError` if it ends otherwise.
    """
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=case, args=(there, *given))
    began = time.monotonic()
    process.start()
    there.close()
    found: dict[str, float] = {"peak": 0.0}
    try:
        while "images" not in found:
            found["peak"] = max(found["peak"], memory(process.pid))
            if not here.poll(LOOK_EVERY):
                continue
            what, value = here.recv()
            found[what] = value if what == "images" else time.monotonic() - began
            if what == "imported":
                found["imports"] = found["peak"] = memory(process.pid)
                here.send(True)
            if what == "first batch":
                found["first batch, CPU"] = cpu_seconds(process.pid)
        found["end"] = time.monotonic() - began
    except (EOFError, ConnectionError) as error:
        raise CassleError("the process that was measured ended early; what it said stands above") from error
    finally:
        here.close()
        process.join()
    return found


def memory(pid: int | None) -> float:
    """Return the memory in MiB of a process and of all that it started; processes that have ended count nothing."""
    total = 0
    for process in _with_children(pid):
        with suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.uss)
    return total / 2**20


def _with_children(pid: int | None) -> list[psutil.Process]:
    """Return a process and all that it started; none if it has ended."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def cpu_seconds(pid: int | None) -> float:
    """Return the processor time of a process and of those it started: what a busy machine does not make longer."""
    times = [process.cpu_times() for process in _with_children(pid)]
    return float(sum(time.user + time.system for time in times))


def _row(name: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Return the row of a case: how fast, how long to the first batch from the start, and the most memory it took."""
    times = [one["end"] - one.get("first batch", one["imported"]) for one in rounds]
    more = {
        "imports s": max(one["imported"] for one in rounds),
        "first batch s": max((one["first batch"] for one in rounds if "first batch" in one), default=None),
        "of it CPU s": max((one["first batch, CPU"] for one in rounds if "first batch" in one), default=None),
        "peak MiB": max(one["peak"] for one in rounds),
        "above imports MiB": max(one["peak"] - one["imports"] for one in rounds),
    }
    return rate(name, times, rounds[0]["images"], "images", **more)
