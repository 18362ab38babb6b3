"""One call evaluates one checkpoint with every probe, on every task of a stream; features are extracted once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from cassle.core.errors import DataError
from cassle.core.files import read_json, write_json
from cassle.data.streams import Stream
from cassle.evaluation.base import Probe, probes
from cassle.evaluation.code import code_of_probes
from cassle.evaluation.evaluations import Evaluations
from cassle.evaluation.request import ProbeRequest
from cassle.evaluation.subject import load_subject
from cassle.training.precision import device_name, resolve_device, resolve_precision

PER_PROBE = ("accuracies", "task_aware", "own_tasks", "identity")
"""Keys of a file of accuracies that hold an entry per probe."""


def known_probes(files: Iterable[Path], wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return label -> key -> entry of the wanted probes that files of accuracies hold, and print where each was.

    Beside those of a file, ``precision`` is an entry: that in which the probe saw its images.
    ``wanted``: label -> identity; an entry of another identity was found under other conditions and is not taken. A
    file that is gone holds nothing. Raises `DataError` for a file of something else.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in filter(Path.is_file, files):
        held = read_json(file)
        if not isinstance(held, dict) or "accuracies" not in held:
            raise DataError(f"{file} holds no accuracies; give files that `cassle probe` wrote")
        for label, identity in held.get("identity", {}).items():
            if label not in found and wanted.get(label) == identity:
                found[label] = {key: held[key][label] for key in PER_PROBE if label in held[key]}
                found[label]["precision"] = held["execution"]["precision"][label]
                print(f"{label}: as in {file}")
    return found


def probe_checkpoint(request: ProbeRequest) -> dict[str, Any]:
    """Evaluate and write ``{"accuracies": {probe: [fraction per task]}, ...}``; returns what was written.

    One classifier over all classes is fitted on the labels of all tasks; accuracy is read off per task's test
    images without masking (CaSSLe, Section 5). ``task_aware`` has the same with the task known. ``execution`` says how
    it ran: device, threads, and per probe the precision the backbone computed in.
    """
    began = time.monotonic()
    torch.set_num_threads(request.site.execution.threads)
    made = {part["label"]: probes.get(part["name"])(**part["settings"]) for part in request.spec["probes"]}
    seen = open_evaluations(request, made)
    found = entries(request, seen, made)
    main = Stream(**request.spec["stream"])
    execution = {
        "device": device_name(seen.device),
        "precision": found.pop("precision"),
        "threads": request.site.execution.threads,
    }
    result = {
        "spec": request.spec,
        **found,
        "stream": main.name,
        "dataset": main.dataset,
        "scenario": main.scenario,
        "tasks": main.tasks,
        "task_names": seen.files_of(main)[1].names,
        "checkpoint": seen.subject.fingerprint,
        "code": seen.code,
        "execution": execution,
        "seconds": round(time.monotonic() - began, 2),
    }
    write_json(request.out, result)
    shutil.rmtree(seen.states, ignore_errors=True)
    return result


def open_evaluations(request: ProbeRequest, made: Mapping[str, Probe]) -> Evaluations:
    """Return the request's streams under its frozen network, on the device where it runs."""
    device = resolve_device(request.site.execution.device)
    return Evaluations(
        request,
        load_subject(request.spec, request.checkpoint, request.site.data).to(device),
        device,
        resolve_precision(request.site.execution.precision, device),
        code_of_probes(made.values()),
    )


def entries(request: ProbeRequest, seen: Evaluations, made: Mapping[str, Probe]) -> dict[str, dict[str, Any]]:
    """Return key -> label -> entry of all probes; what is known is taken over, the rest is evaluated."""
    identity = {part["label"]: seen.identity(part, made[part["label"]]) for part in request.spec["probes"]}
    known = known_probes(request.known, identity)
    found: dict[str, dict[str, Any]] = {key: {} for key in (*PER_PROBE, "precision")}
    for part in request.spec["probes"]:
        label = part["label"]
        own = known[label] if label in known else seen.evaluated(part, made[label])
        for key, entry in {**own, "identity": identity[label]}.items():
            found[key][label] = entry
    return found
