"""Features of test images as a file, for figures: what one network sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cassle.core.files import write_with
from cassle.data.base import read_index
from cassle.data.file_images import load_images
from cassle.data.splits import read_split
from cassle.data.streams import Stream
from cassle.evaluation.source import Source
from cassle.evaluation.subject import load_own_subject
from cassle.nets.features import CLEAN_BATCH, features_of
from cassle.settings.site import Site
from cassle.training.precision import resolve_device


@dataclass(frozen=True)
class SnapshotRequest:
    """What is asked for: the features of at most ``images`` test images of a stream, by the network of a checkpoint."""

    stream: Stream
    site: Site
    index: Path
    split: Path
    checkpoint: Path
    out: Path
    images: int


def write_snapshot(request: SnapshotRequest) -> None:
    """Write ``features`` (N, F) float32, ``labels`` and ``tasks`` (N,) int64 of test images.

    Every network is shown the same ones: if there are more than asked for, some at equal distances.
    """
    torch.set_num_threads(request.site.execution.threads)
    stream = request.stream
    index, split = read_index(request.index), read_split(request.split)
    device = resolve_device(request.site.execution.device)
    subject = load_own_subject(request.checkpoint, request.site.data).to(device)
    dataset = stream.open(request.site.data)
    size, threads = subject.image_size, request.site.execution.threads
    test = load_images(dataset, index, request.site.root, "test", size, threads).to(device)
    kept = np.flatnonzero(np.asarray(split.test_task) >= 0)
    kept = kept[np.linspace(0, len(kept) - 1, min(request.images, len(kept))).round().astype(int)]
    batches = Source(test, dataset, size, device).clean(torch.as_tensor(kept).to(device), CLEAN_BATCH)
    features = features_of(subject.backbone, batches, device).float().cpu().numpy()
    labels, tasks = index.test.labels[kept], np.asarray(split.test_task)[kept]
    arrays = {"features": features, "labels": labels.astype(np.int64), "tasks": tasks.astype(np.int64)}
    write_with(request.out, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
