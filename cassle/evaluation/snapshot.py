"""Features of test images as a file, for figures: what one network sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cassle.data.base import data_sets, read_index
from cassle.data.streams import Stream, read_split
from cassle.data.views import clean_view
from cassle.evaluation.features import extract_features
from cassle.files import write_with
from cassle.settings import Site
from cassle.training.build import build_model
from cassle.training.checkpoints import load_checkpoint, load_into
from cassle.training.precision import resolve_device


@dataclass(frozen=True)
class SnapshotRequest:
    """What is asked for: the features of at most ``images`` test images of a stream, by the network of a checkpoint."""

    stream: dict[str, Any]
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
    stream = Stream(**request.stream)
    data_set = data_sets.get(stream.data_set)(**request.site.data.get(stream.data_set, {}))
    index, split = read_index(request.index), read_split(request.split)
    device = resolve_device(request.site.execution.device)
    checkpoint = load_checkpoint(request.checkpoint)
    model = build_model(checkpoint.meta["spec"], data_set.image_size, index.num_classes)
    load_into(model, checkpoint.model, str(request.checkpoint))
    test = data_set.load(index, request.site.root, "test")
    kept = np.flatnonzero(np.asarray(split.test_task) >= 0)
    kept = kept[np.linspace(0, len(kept) - 1, min(request.images, len(kept))).round().astype(int)]

    class Chosen:
        def __len__(self) -> int:
            return len(kept)

        def read(self, positions: Tensor) -> Tensor:
            return test.read(torch.as_tensor(kept)[positions])

    def clean(images: Tensor) -> Tensor:
        return clean_view(images, data_set.image_size, data_set.mean, data_set.std)

    features = extract_features(model.backbone.to(device), Chosen(), 256, device, clean).float().cpu().numpy()
    labels, tasks = test.labels.cpu().numpy()[kept], np.asarray(split.test_task)[kept]
    arrays = {"features": features, "labels": labels.astype(np.int64), "tasks": tasks.astype(np.int64)}
    write_with(request.out, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
