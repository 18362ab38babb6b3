"""The loader based on NVIDIA DALI, which decodes, crops and resizes; color operations are those of the other loaders.

A CPU decodes and crops images of 224 pixels too slowly; DALI does both on the GPU if there is one, else on the CPU.
Every parameter is drawn by `cassle.data.views.draw` and passed in as an array, so that a batch depends on (seed, task,
epoch, step) and on no state of DALI, and views have the distribution of the other loaders. DALI's hue and jitter are
not used: its hue is not the operation of torchvision, and its jitter has a single order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import BytesIO
from itertools import chain, tee
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cassle.core.errors import CassleError
from cassle.data.color import flip
from cassle.data.decode import decode_bytes, orientation, read_bytes
from cassle.data.file_images import FileImages, clean_box
from cassle.data.loaders.base import AheadLoader, Drawn
from cassle.data.loaders.rows import Rows, TaskRows
from cassle.data.view_settings import ViewSettings
from cassle.data.views import ViewParameters, Views, apply, draw, normalize

FORMATS = ("JPEG", "PNG", "BMP")
"""Formats that DALI decodes, by Pillow's names."""


class DaliLoader(AheadLoader):
    """Read the batches of a task from image files with DALI, with all threads of the job.

    Raises `CassleError` if DALI is not installed.
    """

    name: ClassVar[str] = "dali"

    def __init__(self, images: FileImages, rows: TaskRows, views: Views, device: torch.device, threads: int) -> None:
        super().__init__(images, rows, views, device)
        self.dali = import_dali()
        self.files, self.threads = images, threads
        self.pool = ThreadPoolExecutor(threads)
        self.drawn: deque[list[list[ViewParameters]]] = deque()
        self.copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def start(self, rows: Iterator[Rows]) -> Iterator[Drawn]:
        """Yield views, normalized and on the device, and online images, uint8, of the given steps."""
        first = next(rows)
        steps, for_views, for_online = tee(chain([first], rows), 3)
        for_steps = self.pipeline(self.views_source(for_views), len(first.index), self.view_crops)
        online = self.pipeline(self.online_source(for_online), len(first.online), self.online_crop)
        for step in steps:
            crops = [self.tensor(output) for output in for_steps.run()]
            own, replayed = self.drawn.popleft()
            views = self.finish([crop[: step.own] for crop in crops], own)
            if len(step.index) > step.own:
                more = self.finish([crop[step.own :] for crop in crops], replayed)
                views = [torch.cat(pair) for pair in zip(views, more, strict=True)]
            yield Drawn(step, views, self.tensor(online.run()[0]))

    def close(self) -> None:
        """Drop the pipelines and their threads."""
        self._ahead = None
        self.drawn.clear()

    # Inputs of the pipelines

    def views_source(self, rows: Iterator[Rows]) -> Iterator[tuple[Any, ...]]:
        """Yield the files of each step, and start and shape (B, 2) of every view's crop; keep the other parameters."""
        for step in rows:
            encoded, sizes = self.read(step.index)
            parts = [self.draw(step, part, sizes) for part in ("own", "replayed")]
            self.drawn.append(parts)
            boxes = [torch.cat([part.boxes for part in pair]).int().numpy() for pair in zip(*parts, strict=True)]
            yield encoded, *(part for box in boxes for part in (box[:, :2].copy(), box[:, 2:].copy()))

    def draw(self, step: Rows, part: str, sizes: Tensor) -> list[ViewParameters]:
        """Return the parameters of every view of a step's own or replayed rows, drawn independently of each other."""
        shard, rows = step.shard.parts[part == "replayed"], sizes[: step.own] if part == "own" else sizes[step.own :]
        own = torch.tensor([row for run in shard.runs for row in run], dtype=torch.int64)
        everything = torch.ones(shard.count, 2, dtype=torch.int64).index_copy_(0, own, rows.view(-1, 2))
        generator = self.rows.generator(f"{part} views", step.epoch, step.step)
        height, width = everything.unbind(1)
        drawn = [draw(view, shard.count, height, width, generator) for view in self.views.settings]
        return [view.take(shard) for view in drawn]

    def online_source(self, rows: Iterator[Rows]) -> Iterator[tuple[Any, ...]]:
        """Yield the files of each step's labeled images, the size they are resized to and the corner of the crop."""
        for step in rows:
            encoded, sizes = self.read(step.online)
            boxes = np.array([clean_box(height, width, self.side) for height, width in sizes.tolist()], dtype=np.int32)
            yield encoded, boxes[:, :2].astype(np.float32), boxes[:, 2:].copy()

    def read(self, index: Tensor) -> tuple[list[NDArray[np.uint8]], Tensor]:
        """Return the contents of files, and height and width (B, 2) of the images in them."""
        contents = list(self.pool.map(self.content, index.tolist()))
        return [content for content, _ in contents], torch.tensor([size for _, size in contents])

    def content(self, sample: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Return the bytes that DALI decodes for a sample, and the image's height and width.

        The bytes are those of the file. For files that versions of DALI read differently (EXIF orientation, 16 bits,
        rare formats), they are the decoded pixels as a PPM file.
        """
        path = self.files.path(sample)
        content = read_bytes(path)
        with Image.open(BytesIO(content)) as image:
            turned = orientation(image) != 1
            plain = image.format in FORMATS and not turned and not image.mode.startswith("I")
            width, height = image.size
        if not plain:
            pixels = decode_bytes(content, path)[0]
            height, width = pixels.shape[:2]
            content = f"P6 {width} {height} 255\n".encode() + pixels.tobytes()
        return np.frombuffer(content, dtype=np.uint8), (height, width)

    # Graphs of the pipelines

    def pipeline(self, source: Iterator[tuple[Any, ...]], count: int, graph: Callable[..., list[Any]]) -> Any:
        """Return a built pipeline of ``graph`` over decoded images and the source's arrays."""
        on_gpu = self.device.type == "cuda"
        made = self.dali.Pipeline(
            batch_size=count, num_threads=self.threads, device_id=(self.device.index or 0) if on_gpu else None
        )
        arrays = 2 if graph == self.online_crop else 2 * len(self.views.settings)
        with made:
            encoded, *rest = self.dali.fn.external_source(source=source, num_outputs=1 + arrays, batch=True)
            decoded = self.dali.fn.decoders.image(
                encoded, device="mixed" if on_gpu else "cpu", output_type=self.dali.types.RGB
            )
            made.set_outputs(*graph(decoded, *rest))
        made.build()
        return made

    def view_crops(self, images: Any, *boxes: Any) -> list[Any]:
        """Return the crops of every view, resized."""
        pairs = zip(boxes[::2], boxes[1::2], strict=True)
        return [
            self.resize(self.dali.fn.slice(images, start=start, shape=shape, axes=[0, 1]), [view.size, view.size])
            for view, (start, shape) in zip(self.views.settings, pairs, strict=True)
        ]

    def online_crop(self, images: Any, size: Any, start: Any) -> list[Any]:
        """Return the center crops of the resized images."""
        return [self.dali.fn.slice(self.resize(images, size), start=start, shape=[self.side] * 2, axes=[0, 1])]

    def resize(self, images: Any, size: Any) -> Any:
        """Return images resized with DALI's cubic kernel, which is Pillow's without rounding between the passes."""
        return self.dali.fn.resize(images, size=size, interp_type=self.dali.types.INTERP_CUBIC, antialias=True)

    # Outputs of the pipelines

    def tensor(self, output: Any) -> Tensor:
        """Return a copy (B, 3, S, S) uint8 of an output (B, S, S, 3): DALI uses its memory again."""
        if self.copies is None:
            return torch.from_numpy(output.as_array().copy()).permute(0, 3, 1, 2)
        with torch.cuda.stream(self.copies):  # begins when DALI is done, and not behind the training's queue
            copy = torch.empty(output.as_tensor().shape(), dtype=torch.uint8, device=self.device)
            self.dali.feed_ndarray(output.as_tensor(), copy, cuda_stream=self.copies)  # returns before it is done
        training = torch.cuda.current_stream(self.device)
        training.wait_stream(self.copies)
        copy.record_stream(training)
        return copy.permute(0, 3, 1, 2)

    def finish(self, crops: list[Tensor], drawn: list[ViewParameters]) -> list[Tensor]:
        """Return the views of crops: colors changed, normalized, channels last."""
        views = []
        for crop, parameters, settings in zip(crops, drawn, self.views.settings, strict=True):
            view = apply(crop, parameters.to(self.device), settings, crop=as_floats)
            views.append(normalize(view, self.views.mean, self.views.std).contiguous(memory_format=torch.channels_last))
        return views

    @property
    def side(self) -> int:
        """Side of clean images in pixels."""
        return self.views.settings[0].size


def as_floats(crops: Tensor, drawn: ViewParameters, settings: ViewSettings) -> Tensor:
    """Return crops (B, 3, S, S) uint8 as floats in 0-1, mirrored where drawn."""
    return flip(crops.float().div_(255), drawn.flip)


def dali_is_installed() -> bool:
    """Return whether DALI is installed, without importing it."""
    return find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None


def import_dali() -> SimpleNamespace:
    """Return the parts of DALI in use; `CassleError` if it is not installed."""
    try:
        from nvidia.dali import Pipeline, fn, types
        from nvidia.dali.plugin.pytorch import feed_ndarray
    except ImportError as error:
        raise CassleError(
            f"loader 'dali' needs NVIDIA DALI, which is not installed ({error}); install it with `make dali`, or take "
            "execution={loader: torchvision}"
        ) from error
    return SimpleNamespace(Pipeline=Pipeline, fn=fn, types=types, feed_ndarray=feed_ndarray)
