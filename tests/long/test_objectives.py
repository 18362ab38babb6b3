"""Every objective with fine-tuning and CaSSLe over three tasks of digits, by the functions behind the rules.

One process does all jobs of the plan in their order: 70 trainings started one by one would take minutes to start.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from cassle.evaluation.probe_checkpoint import probe_checkpoint
from cassle.evaluation.probe_request import ProbeRequest
from cassle.models.checkpoints import load_checkpoint
from cassle.objectives.base import objectives
from cassle.plan import Plan, resolve
from cassle.settings.reading import read_study
from cassle.settings.site import Execution, Site
from cassle.training.task import TrainRequest
from cassle.training.train_task import train_task
from tests.prepared import prepare_digits

STREAM, TASKS = "digits-domain3", 3
NAMES = [name for name in objectives.names() if objectives.get(name).__module__.startswith("cassle.")]
SITE = Site(execution=Execution(device="cpu"))


@dataclass
class Place:
    """A folder with index and split, in which a plan's jobs are done."""

    folder: Path

    def train(self, plan: Plan) -> None:
        """Train every task from the previous one."""
        for job in plan.train.values():
            previous = self.folder / job.previous.checkpoint if job.previous else None
            files = self.folder / "index.npz", self.folder / "split.npz"
            train_task(TrainRequest(job.spec, SITE, *files, self.folder / job.folder, previous))

    def accuracies(self, plan: Plan, folder: str) -> list[float]:
        """k-NN accuracies of each task, of a checkpoint."""
        job = next(job for job in plan.probe.values() if str(job.at) == folder)
        files = [self.folder / "index.npz"], [self.folder / "split.npz"]
        checkpoint = self.folder / folder / "checkpoint.pt"
        request = ProbeRequest(job.spec, SITE, *files, self.folder / job.file, checkpoint)
        return probe_checkpoint(request).accuracies["knn"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(prepare_digits(tmp_path_factory.mktemp("objectives"), STREAM))


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_goes_through_three_tasks_with_and_without_distillation(place, name, record_property):
    names = {"stream": STREAM, "backbone": "conv3-narrow", "objective": name, "strategies": ["finetune", "cassle"]}
    plan = resolve(read_study({**names, "probes": ["knn"], "training": {"epochs": 2, "batch_size": 256}}))
    assert len(plan.train) == 2 * TASKS - 1  # the first task is shared
    place.train(plan)
    ends = {}
    for folder, job in plan.train.items():
        lines = [json.loads(line) for line in (place.folder / folder / "metrics.jsonl").read_text().splitlines()]
        distilled = job.spec.strategy is not None and job.spec.strategy.name == "cassle"
        assert [line["epoch"] for line in lines] == [0, 1]
        assert all((line["penalty"] != 0) == distilled for line in lines)
        checkpoint = load_checkpoint(place.folder / folder / "checkpoint.pt")
        assert all(torch.isfinite(value).all() for value in checkpoint.model.values())
        if job.spec.task == TASKS - 1:
            ends[job.spec.strategy.name] = checkpoint.model
            found = place.accuracies(plan, folder)
            record_property(folder, found)
            assert len(found) == TASKS
            assert min(found) > 0.2  # twice the accuracy of guessing: nothing has collapsed
    assert any(not torch.equal(value, ends["finetune"][key]) for key, value in ends["cassle"].items())
