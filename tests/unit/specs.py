"""Specifications that a test changes in places, and the provenance of checkpoints that no training made."""

from typing import Any, TypeVar

from pydantic import BaseModel

from cassle.contracts.records import ProbeRecord, Provenance, TrainRecord
from cassle.contracts.specs import ProbeComponent, ProbeSpec, TrainSpec
from cassle.core.options import merged
from cassle.data.streams import Stream
from cassle.plan import resolve
from cassle.settings.reading import read_study

M = TypeVar("M", bound=BaseModel)


def changed(model: M, **changes: Any) -> M:
    """Return a specification or record with changed fields; mappings are merged."""
    return type(model).model_validate(merged(model.model_dump(mode="json"), changes))


def train_specs(**study: Any) -> list[TrainSpec]:
    """Return the specifications of the trainings of a study, in order."""
    return [job.spec for job in resolve(read_study(study)).train.values()]


def provenance(spec: TrainSpec, **changes: Any) -> Provenance:
    """Return the provenance of a checkpoint of a first task."""
    usual = {"code": "c0de", "versions": {"torch": "2"}, "data": "da7a", "parent": None, "memory": None}
    return Provenance(spec=spec, **{**usual, **changes})


def train_record(made: Provenance, **changes: Any) -> TrainRecord:
    """Return the record of a training on a CPU that took a second."""
    execution = {"device": "cpu", "precision": "fp32", "threads": 1, "processes": 1, "loader": "device"}
    cost = {"seconds": 1.0, "images_per_second": 100.0, "flops": None}
    return TrainRecord(**dict(made), **{**execution, **cost, "checkpoint": "0" * 16, **changes})


def probe_record(
    accuracies: dict[str, list[float]], checkpoint: str | None, stream: str = "digits-domain2", **changes: Any
) -> ProbeRecord:
    """Return the record of an evaluation on a CPU; ``accuracies`` per probe, which knowing the task does not change."""
    known = Stream.parse(stream)
    tasks = len(next(iter(accuracies.values())))
    spec = ProbeSpec(
        stream=known,
        seed=0,
        probes=tuple(ProbeComponent(name=probe.split("~")[0], settings={}, label=probe) for probe in accuracies),
    )
    usual = {
        "spec": spec,
        "accuracies": accuracies,
        "task_aware": accuracies,
        "own_tasks": {},
        "identity": dict.fromkeys(accuracies, "1d"),
        "stream": stream,
        "dataset": known.dataset,
        "scenario": known.scenario,
        "tasks": tasks,
        "task_names": [f"part {task}" for task in range(tasks)],
        "checkpoint": checkpoint,
        "code": "c0de",
        "execution": {"device": "cpu", "precision": dict.fromkeys(accuracies, "fp32"), "threads": 1},
        "seconds": 3.6,
    }
    return ProbeRecord.model_validate({**usual, **changes})
