"""A small study and its plan."""

from pathlib import Path

from cassle.contracts.jobs import ProbeJob, TrainJob
from cassle.contracts.records import ProbeExecution, ProbeRecord, TrainRecord, write_record
from cassle.plan import Plan, resolve
from cassle.plan.sources import CONFIG, RECIPES
from cassle.settings.reading import read_study

__all__ = ["CONFIG", "GRID", "RECIPES", "evaluated", "finished", "folders", "plan"]
GRID = {"streams": ["digits-domain3"], "objectives": ["simclr"], "strategies": ["finetune", "cassle"]}


def plan(**changes) -> Plan:
    """Return the plan of the small study with some of its settings changed."""
    return resolve(read_study({**GRID, **changes}))


def folders(made: Plan) -> set[str]:
    """Return the folders of all trainings."""
    return set(made.train)


def finished(root: Path, job: TrainJob, **changes) -> TrainRecord:
    """Write the record of a finished training, with some of its values changed."""
    record = TrainRecord(
        **{
            "spec": job.spec,
            "code": "abc",
            "versions": {},
            "data": "1" * 16,
            "parent": None,
            "memory": None,
            "checkpoint": "new",
            "device": "cpu",
            "precision": "fp32",
            "threads": 1,
            "processes": 1,
            "loader": "device",
            "seconds": 10.0,
            "images_per_second": None,
            "flops": None,
            **changes,
        }
    )
    write_record(root / job.at.record, record)
    return record


def evaluated(root: Path, job: ProbeJob, **changes) -> ProbeRecord:
    """Write the record of a finished evaluation, with some of its values changed."""
    spec = job.spec
    tasks = [f"task {task}" for task in range(spec.stream.tasks)]
    accuracies = {probe.label: [0.5] * len(tasks) for probe in spec.probes}
    record = ProbeRecord(
        **{
            "spec": spec,
            "accuracies": accuracies,
            "task_aware": accuracies,
            "own_tasks": {},
            "identity": dict.fromkeys(accuracies, "1" * 16),
            "stream": spec.stream.name,
            "dataset": spec.stream.dataset,
            "scenario": spec.stream.scenario,
            "tasks": spec.stream.tasks,
            "task_names": tasks,
            "checkpoint": None if job.at is None else "new",
            "code": "abc",
            "execution": ProbeExecution(device="cpu", precision=dict.fromkeys(accuracies, "fp32"), threads=1),
            "seconds": 1.0,
            **changes,
        }
    )
    write_record(root / job.file, record)
    return record
