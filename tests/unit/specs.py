"""Specifications that a test changes in places, and the provenance of checkpoints that no training made."""

from typing import Any, TypeVar

from pydantic import BaseModel

from cassle.contracts.records import Provenance, TrainRecord
from cassle.contracts.specs import TrainSpec
from cassle.core.options import merged
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
