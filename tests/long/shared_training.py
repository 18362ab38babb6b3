"""A second task with CaSSLe, trained by the real learner in double precision, in one process or in two."""

import json
from pathlib import Path

import torch

from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.settings.site import Execution, Site
from cassle.training.state import StopRequest
from cassle.training.task import TrainRequest, assemble
from cassle.training.train_task import begin, fit
from tests.pair import as_one_of_a_pair

STREAM = "digits-domain2"
OBJECTIVES = ("simclr", "barlow_twins", "byol", "swav")
SMALL = {"hidden_dim": 64, "output_dim": 32}


def requests(objective: str, prepared: Path, folder: Path, **training) -> list[TrainRequest]:
    """The two tasks of a run; 11 steps an epoch."""
    choice = {
        "name": objective,
        **SMALL,
        **({"queue_size": 256, "epoch_queue_starts": 1} if objective == "swav" else {}),
    }
    study = read_study(
        {
            "stream": STREAM,
            "backbone": "conv3-narrow",
            "objective": choice,
            "strategy": {"name": "cassle", "distillation": {"hidden_dim": 64}},
            "training": {"epochs": 2, "batch_size": 128, **training},
        }
    )
    made, previous = [], None
    for job in resolve(study).train.values():
        place = folder / objective / str(job.spec.task)
        site = Site(execution=Execution(device="cpu"))
        made.append(TrainRequest(job.spec, site, prepared / "index.npz", prepared / "split.npz", place, previous))
        previous = place / "checkpoint.pt"
    return made


def second_task(objective: str, prepared: Path, folder: Path) -> dict[str, torch.Tensor]:
    """Weights and buffers after 22 steps of the second task, and the epochs' losses."""
    request = requests(objective, prepared, folder)[1]
    task = assemble(request)
    with StopRequest() as stop:
        learner = begin(request, task, stop).double()
        if task.teacher is not None:
            task.teacher.double()
        draw, clean = learner.draw_views, learner.clean
        learner.draw_views = lambda batch: [view.double() for view in draw(batch)]
        learner.clean = lambda images: clean(images).double()
        fit(learner, "fp32", task.device)
    losses = [list(json.loads(line).values()) for line in learner.metrics.lines]
    return {
        **task.model.state_dict(),
        **task.strategy.state_dict(),
        "losses": torch.tensor(losses, dtype=torch.float64),
    }


def second_tasks(prepared: str, first_tasks: str) -> dict[str, dict[str, torch.Tensor]]:
    """Results of each objective."""
    return {objective: second_task(objective, Path(prepared), Path(first_tasks)) for objective in OBJECTIVES}


if __name__ == "__main__":
    as_one_of_a_pair(second_tasks)
