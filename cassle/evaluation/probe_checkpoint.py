"""One call evaluates one checkpoint with every probe, on every task of a stream; features are extracted once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from cassle.contracts.records import ProbeExecution, ProbeRecord, read_record_if_present, write_record
from cassle.evaluation.base import Probe, probes
from cassle.evaluation.code import code_of_probes
from cassle.evaluation.evaluations import Evaluations, ProbeResult
from cassle.evaluation.probe_request import ProbeRequest
from cassle.evaluation.subject import load_subject
from cassle.training.precision import device_name, resolve_device, resolve_precision


def probe_checkpoint(request: ProbeRequest) -> ProbeRecord:
    """Evaluate a checkpoint, write the record of its accuracies, and return it.

    One classifier over all classes is fitted on the labels of all tasks; accuracy is read off per task's test images
    without masking (CaSSLe, Section 5). ``task_aware`` has the same with the task known.
    """
    began = time.monotonic()
    spec, threads = request.spec, request.site.execution.threads
    torch.set_num_threads(threads)
    made = {probe.label: probes.get(probe.name)(**probe.settings) for probe in spec.probes}
    evaluations = open_evaluations(request, made)
    found = results(request, evaluations, made)
    execution = ProbeExecution(
        device=device_name(evaluations.device),
        precision={label: one.precision for label, one in found.items()},
        threads=threads,
    )
    record = ProbeRecord(
        spec=spec,
        accuracies={label: one.accuracies for label, one in found.items()},
        task_aware={label: one.task_aware for label, one in found.items()},
        own_tasks={label: one.own_tasks for label, one in found.items() if one.own_tasks is not None},
        identity={label: one.identity for label, one in found.items()},
        stream=spec.stream.name,
        dataset=spec.stream.dataset,
        scenario=spec.stream.scenario,
        tasks=spec.stream.tasks,
        task_names=evaluations.files_of(spec.stream)[1].names,
        checkpoint=evaluations.subject.fingerprint,
        code=evaluations.code,
        execution=execution,
        seconds=round(time.monotonic() - began, 2),
    )
    write_record(request.out, record)
    shutil.rmtree(evaluations.states, ignore_errors=True)
    return record


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


def results(request: ProbeRequest, evaluations: Evaluations, made: Mapping[str, Probe]) -> dict[str, ProbeResult]:
    """Return label -> result of all probes; what earlier evaluations found is copied, the rest is evaluated."""
    identity = {probe.label: evaluations.identity(probe, made[probe.label]) for probe in request.spec.probes}
    reused = reusable(request.reuse, identity)
    return {
        probe.label: reused[probe.label]
        if probe.label in reused
        else evaluations.evaluated(probe, made[probe.label], identity[probe.label])
        for probe in request.spec.probes
    }


def reusable(files: Iterable[Path], wanted: Mapping[str, str]) -> dict[str, ProbeResult]:
    """Return label -> result of the wanted probes that files of accuracies have, and print where each was found.

    ``wanted``: label -> identity; a result of another identity was found under other conditions and is not copied. A
    missing file has none. Raises `DataError` for a file that is damaged or of another kind.
    """
    found: dict[str, ProbeResult] = {}
    for file in files:
        held = read_record_if_present(ProbeRecord, file)
        if held is None:
            continue
        for label, identity in held.identity.items():
            if label not in found and wanted.get(label) == identity:
                found[label] = ProbeResult(
                    accuracies=held.accuracies[label],
                    task_aware=held.task_aware[label],
                    precision=held.execution.precision[label],
                    identity=identity,
                    own_tasks=held.own_tasks.get(label),
                )
                print(f"{label}: as in {file}")
    return found
