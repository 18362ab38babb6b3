"""The streams of an evaluation as one frozen network sees them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cassle.contracts.specs import ProbeComponent
from cassle.core.errors import DataError
from cassle.core.files import fingerprint
from cassle.data.base import Index, read_index
from cassle.data.file_images import load_images
from cassle.data.index import HALVES
from cassle.data.splits import Split, read_split
from cassle.data.streams import Stream
from cassle.evaluation.base import Evaluation, Half, Probe, accuracy_by_task, predict_within_task
from cassle.evaluation.code import code_of_probes
from cassle.evaluation.probe_request import ProbeRequest
from cassle.evaluation.source import Epochs, Source, crop_features
from cassle.evaluation.subject import Subject
from cassle.nets.features import CLEAN_BATCH, features_of
from cassle.training.precision import HALF, Precision, device_name
from cassle.training.state import StateFile


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found: accuracy per task as a fraction, without and with the task known.

    ``precision`` of the features; ``identity``: fingerprint of everything the accuracies depend on; ``own_tasks``:
    names of the tasks, where they are those of another stream.
    """

    accuracies: list[float]
    task_aware: list[float]
    precision: str
    identity: str
    own_tasks: list[str] | None = None


@dataclass
class Evaluations:
    """The streams of an evaluation as one frozen network sees them; each is looked at once.

    ``precision``: of features of crops; those of clean images are made in that of the weights.
    """

    request: ProbeRequest
    subject: Subject
    device: torch.device
    precision: Precision
    code: str
    _seen: dict[str, tuple[Split, Evaluation]] = field(default_factory=dict)
    _files: dict[str, tuple[Index, Split]] = field(default_factory=dict)
    _cropped: bool = False

    def precision_used(self) -> Precision:
        """Return the precision of the features that were looked at since this was asked last."""
        used, self._cropped = (self.precision if self._cropped else "fp32"), False
        return used

    @property
    def states(self) -> Path:
        """The folder of fits in progress, beside the result."""
        return self.request.out.with_name(f".{self.request.out.stem}.state")

    def identity(self, component: ProbeComponent, probe: Probe) -> str:
        """Return the digits that name all that a probe's accuracies depend on, to the last bit."""
        alone = self.request.spec.model_copy(update={"probes": (component,)})
        data = [self.files_of(stream)[0].fingerprint for stream in alone.streams]
        how = [device_name(self.device), self.precision, self.request.site.execution.threads]
        return fingerprint(
            [self.subject.fingerprint, alone.model_dump(mode="json"), code_of_probes([probe]), data, how]
        )

    def evaluated(self, component: ProbeComponent, probe: Probe, identity: str) -> ProbeResult:
        """Return what a probe finds."""
        main = self.request.spec.stream
        stream = component.stream or main
        split, data = self.of(stream)
        with torch.no_grad():
            scores = probe.scores(data)
        test = data.test
        within_task = predict_within_task(scores, test.task, split.classes)
        return ProbeResult(
            accuracies=accuracy_by_task(scores.argmax(dim=1), test.labels, test.task, data.tasks),
            task_aware=accuracy_by_task(within_task, test.labels, test.task, data.tasks),
            precision=self.precision_used(),
            identity=identity,
            own_tasks=None if stream == main else [f"{stream.dataset} {name}" for name in split.names],
        )

    def of(self, stream: Stream) -> tuple[Split, Evaluation]:
        """Return a stream's split, and what probes may look at."""
        if stream.name not in self._seen:
            self._seen[stream.name] = self._look(stream)
        return self._seen[stream.name]

    def files_of(self, stream: Stream) -> tuple[Index, Split]:
        """Return the index and the split of a stream; `DataError` for files that are missing or of another stream."""
        if stream.name not in self._files:
            self._files[stream.name] = self._read(stream)
        return self._files[stream.name]

    def _read(self, stream: Stream) -> tuple[Index, Split]:
        streams = self.request.spec.streams
        for what, given in (("--index", self.request.index), ("--split", self.request.split)):
            if len(given) != len(streams):
                names = ", ".join(one.name for one in streams)
                raise DataError(f"{what} takes a file for each of {names}, in this order; {len(given)} were given")
        place = streams.index(stream)
        index, split = read_index(self.request.index[place]), read_split(self.request.split[place])
        if split.stream != stream.name:
            raise DataError(f"{self.request.split[place]} is the split of {split.stream}, not of {stream.name}")
        return index, split

    def _look(self, stream: Stream) -> tuple[Split, Evaluation]:
        site, subject, device = self.request.site, self.subject, self.device
        size, threads = subject.image_size, site.execution.threads
        index, split = self.files_of(stream)
        dataset = stream.open(site.data)
        train_source, test_source = (
            Source(load_images(dataset, index, site.root, which, size, threads).to(device), dataset, size, device)
            for which in HALVES
        )
        return split, Evaluation(
            train=self._half(train_source, split.train_task, index.train.labels),
            test=self._half(test_source, split.test_task, index.test.labels),
            num_classes=index.num_classes,
            tasks=stream.tasks,
            seed=self.request.spec.seed,
            crops=partial(self._crops, train_source),
            view_size=subject.image_size,
            linear_lr=subject.linear_lr,
            project=None if subject.objective is None else subject.project,
            online=subject.classifier,
            state=partial(self._state, index.fingerprint, stream.name),
        )

    def _half(self, source: Source, task: Any, labels: Any) -> Half:
        tasks = torch.as_tensor(task).long()
        positions = (tasks >= 0).nonzero().flatten()
        own, truth = tasks[positions].to(self.device), torch.as_tensor(labels)[positions].to(self.device)
        positions = positions.to(self.device)
        batches = source.clean(positions, CLEAN_BATCH)
        return Half(features_of(self.subject.backbone, batches, self.device), truth, own, positions)

    def _crops(self, source: Source, *what: Any) -> AbstractContextManager[Epochs]:
        self._cropped = True
        return crop_features(self.subject, source, HALF.get(self.precision), *what)

    def _state(self, data: str, stream: str, key: Any) -> StateFile:
        """Return the file of a fit's state; named by everything that determines the fit."""
        spec = self.request.spec.digest
        name = fingerprint([self.subject.fingerprint, spec, self.code, self.precision, data, stream, key])
        return StateFile(self.states / name, name, self.request.site.execution.state_minutes)
