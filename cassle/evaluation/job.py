"""One call evaluates one checkpoint with every probe, on every task of a stream; features are extracted once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cassle.data.base import read_index
from cassle.data.streams import Stream, read_split
from cassle.data.views import clean_view
from cassle.evaluation.base import accuracy_by_task, probes
from cassle.evaluation.features import extract_features
from cassle.files import write_json
from cassle.nets.base import Backbone
from cassle.paths import ONLINE
from cassle.provenance import code_of
from cassle.settings import Site
from cassle.training.build import build_backbone, build_model
from cassle.training.checkpoints import load_checkpoint, load_into
from cassle.training.precision import resolve_device


@dataclass(frozen=True)
class ProbeRequest:
    """What an evaluation is given.

    ``spec``: `ProbeJob.spec`; ``checkpoint``: the file to evaluate, absent for the random network of ``spec``'s
    backbone and seed; ``split``: the evaluation stream's; ``out``: the file of accuracies to write.
    """

    spec: dict[str, Any]
    site: Site
    index: Path
    split: Path
    out: Path
    checkpoint: Path | None = None


def probe_checkpoint(request: ProbeRequest) -> dict[str, Any]:
    """Evaluate and write ``{"accuracies": {probe: [fraction per task]}, ...}``; returns what was written.

    One classifier over all classes is fitted on the labels of all tasks; accuracy is read off per task's test
    images without masking (CaSSLe, Section 5).
    """
    began = time.monotonic()
    torch.set_num_threads(request.site.execution.threads)
    stream = Stream(**request.spec["stream"])
    data_set = stream.open(request.site.data)
    index, split = read_index(request.index), read_split(request.split)
    device = resolve_device(request.site.execution.device)
    backbone, classifier, trained = _network(request, data_set.image_size, index.num_classes)
    backbone.to(device)
    train, test = (data_set.load(index, request.site.root, which) for which in ("train", "test"))
    kept = {"train": torch.as_tensor(split.train_task) >= 0, "test": torch.as_tensor(split.test_task) >= 0}

    def clean(images: Tensor) -> Tensor:
        return clean_view(images, data_set.image_size, data_set.mean, data_set.std)

    features = {
        "train": extract_features(backbone, train.to(device), 256, device, clean).cpu()[kept["train"]],
        "test": extract_features(backbone, test.to(device), 256, device, clean).cpu()[kept["test"]],
    }
    labels = {"train": train.labels.cpu()[kept["train"]], "test": test.labels.cpu()[kept["test"]]}
    tasks = torch.as_tensor(split.test_task)[kept["test"]].long()
    accuracies = {}
    for part in request.spec["probes"]:
        if part["name"] == ONLINE:
            predicted = classifier(features["test"]).argmax(1)
        else:
            predicted = probes.get(part["name"])(**part["settings"]).predict(
                features["train"], labels["train"], features["test"], index.num_classes, request.spec["seed"]
            )
        accuracies[part["label"]] = accuracy_by_task(predicted, labels["test"], tasks, stream.tasks)
    result = {
        "spec": request.spec,
        "accuracies": accuracies,
        "stream": stream.name,
        "data_set": stream.data_set,
        "scenario": stream.scenario,
        "tasks": stream.tasks,
        "task_names": split.names,
        "checkpoint": trained,
        "code": code_of("cassle.evaluation.job"),
        "seconds": round(time.monotonic() - began, 2),
    }
    write_json(request.out, result)
    return result


def _network(request: ProbeRequest, image_size: int, num_classes: int) -> tuple[Backbone, Any, str | None]:
    """Return backbone, online classifier and checkpoint fingerprint; the latter two None for the random network."""
    if request.checkpoint is None:
        return build_backbone(request.spec["backbone"], image_size, request.spec["seed"]), None, None
    checkpoint = load_checkpoint(request.checkpoint)
    model = build_model(checkpoint.meta["spec"], image_size, num_classes)
    load_into(model, checkpoint.model, str(request.checkpoint))
    return model.backbone, model.classifier.requires_grad_(False), checkpoint.fingerprint
