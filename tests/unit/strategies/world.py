"""A stream of two tiny tasks of noise, and a strategy trained on it: a few steps of a narrow network, no trainer."""

import copy
from dataclasses import dataclass

import torch

from cassle.data.base import InMemory
from cassle.data.loaders.device import DeviceLoader
from cassle.data.loaders.rows import TaskRows
from cassle.data.views import Views
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.objectives.base import Moment, TaskStart
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.strategies.base import Memory, Strategy
from cassle.training.build import build_model, build_strategy
from cassle.training.memory import task_end
from cassle.training.optim import build_optimizer
from cassle.training.step import training_step

PER_TASK = 16
CPU = torch.device("cpu")


@dataclass
class Trained:
    """What came of the two tasks, and what every step of the second one was."""

    model: Model
    strategy: Strategy
    memory: Memory
    steps: list
    losses: list


def noise() -> InMemory:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2 * PER_TASK, 3, 16, 16), generator=draw, dtype=torch.uint8)
    return InMemory(images, torch.arange(2 * PER_TASK) % 10, torch.zeros(2 * PER_TASK, dtype=torch.long))


def positions(task: int) -> torch.Tensor:
    return torch.arange(task * PER_TASK, (task + 1) * PER_TASK)


def planned(objective, strategy):
    """The plan of a run; a strategy is given as in a study."""
    words = {"stream": "digits-data2", "backbone": "conv3-narrow", "objective": objective, "strategy": strategy}
    return resolve(read_study({**words, "training": {"batch_size": 8, "epochs": 1}}))


def trained(objective, strategy) -> Trained:
    """Train both tasks, with what is kept between them."""
    plan = planned(objective, strategy)
    first, second = (job.spec for job in plan.train.values())
    images, training = noise(), first.training
    views = Views(training.views, (0.5,) * 3, (0.25,) * 3)
    model = build_model(first, 16, 10)
    fit(model, build_strategy(first, model), None, training, images, views, 0)
    memory = {}
    for job in plan.memory.values():
        end = task_end(copy.deepcopy(model), job.spec, training.batch_size, images, positions(0), views, CPU)
        memory = build_strategy(job.spec, model).build_memory(end, {})
    acting = build_strategy(second, model)
    if acting.keeps_memory:
        acting.load_memory(memory)
    teacher = None
    if acting.teacher_batchnorm is not None:
        teacher = Teacher(copy.deepcopy(model), acting.teacher_batchnorm, acting.teacher_network)
    steps, losses = fit(model, acting, teacher, training, images, views, 1)
    return Trained(model, acting, memory, steps, losses)


def fit(model, strategy, teacher, training, images, views, task):
    """Train one task for an epoch; return its steps and losses."""
    replay = strategy.replay if strategy.replays else None
    loader = DeviceLoader(images, TaskRows(positions(task), positions(task), training.batch_size, 0, task, replay))
    groups = [g for part in (model.objective, strategy) for g in part.groups()]
    optimizer = build_optimizer(training.optimizer, groups, training.batch_size)
    optimizer.add_param_group({"params": list(model.backbone.parameters())})
    model.train(), strategy.train()
    model.objective.begin_task(TaskStart(task, 0, lambda: (positions(task), torch.zeros(PER_TASK, 32))))
    steps, losses = [], []
    for number, batch in enumerate(loader.epoch(0)):
        moment = Moment(0, number, 1, loader.steps_per_epoch)
        loss, step = training_step(batch, views, model, strategy, teacher)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        model.objective.after_step(model.backbone, moment)
        steps.append(step), losses.append(loss)
    return steps, losses
