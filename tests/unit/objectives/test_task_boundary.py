"""What a task boundary carries to the next task and what it restarts, objective by objective."""

import pytest
import torch

from cassle.contracts.specs import Component, NetworkSpec
from cassle.objectives.base import Moment, TaskStart
from cassle.tensors.batch import Batch
from cassle.training.build import build_model
from tests.unit.shared_cases import CLASSES, OBJECTIVES, SIDE

CARRIED = {
    "barlow_twins": {"projector"},
    "byol": {"projector", "predictor", "momentum"},
    "deepclusterv2": {"projector", "centroids"},
    "dino": {"projector", "prototypes", "momentum", "center"},
    "mocov2plus": {"projector", "momentum", "queue", "pointer"},
    "nnclr": {"projector", "predictor", "queue", "pointer"},
    "ressl": {"projector", "momentum", "queue", "pointer"},
    "simclr": {"projector"},
    "simsiam": {"projector", "predictor"},
    "supcon": {"projector"},
    "supervised": {"projector", "classifier"},
    "swav": {"projector", "prototypes"},
    "vicreg": {"projector"},
    "wmse": {"projector"},
}
RESTARTED = {"deepclusterv2": {"memory", "origin"}, "swav": {"queue"}}
EPOCHS, STEPS = 4, 10
TAU = {"base_tau": 0.8, "final_tau": 1.0}


def made(name: str, seed: int = 0, **settings):
    """A model of an objective; another seed has other weights."""
    objective = Component(name=name, settings={**OBJECTIVES[name], **settings})
    backbone = Component(name="conv3-narrow", settings={})
    return build_model(NetworkSpec(seed=seed, backbone=backbone, objective=objective, strategy=None), SIDE, CLASSES)


def start(task: int, images: int = 30) -> TaskStart:
    """The start of a task whose images are counted from 100 times its number on."""
    features = torch.randn(images, 32, generator=torch.Generator().manual_seed(task))
    return TaskStart(task, 0, lambda: (100 * task + torch.arange(images), features))


def at(epoch: int, step: int = 0) -> Moment:
    return Moment(epoch, epoch * STEPS + step, EPOCHS, EPOCHS * STEPS)


END = at(EPOCHS - 1, STEPS - 1)


def after_a_task(name: str):
    """A model whose every tensor has moved in a first task."""
    model = made(name)
    model.objective.begin_task(start(0))
    model.objective.begin_epoch(at(0))
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        outputs = model([torch.randn(16, 3, SIDE, SIDE, generator=draws) for _ in range(2)])
        own = torch.arange(16)
        model.objective.after_loss(outputs, Batch(own, None, own % CLASSES, 0, own < 0, draws))
        for parameter in model.parameters():
            parameter.add_(0.1 * parameter.requires_grad)
    model.objective.after_step(model.backbone, END)
    return model


def parts(model) -> dict:
    """The tensors of each part of an objective."""
    found: dict = {}
    for key, value in model.objective.state_dict().items():
        found.setdefault(key.split(".")[0], []).append(value.clone())
    return found


def equal(ones, others) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("name", CARRIED)
def test_the_next_task_starts_with_what_is_carried_and_without_what_restarts(name):
    left, following, fresh = after_a_task(name), made(name, seed=1), made(name, seed=1)
    following.load_state_dict(left.state_dict(), strict=True)
    following.objective.begin_task(start(1))
    before, after, new = parts(left), parts(following), parts(fresh)
    restarted = RESTARTED.get(name, set())
    assert after.keys() == CARRIED[name] | restarted
    for part in CARRIED[name]:
        assert equal(after[part], before[part]), part
        assert not equal(after[part], new[part]), part
    for network in ("backbone", "classifier"):
        assert equal(getattr(following, network).state_dict().values(), getattr(left, network).state_dict().values())
    if name == "swav":
        assert any(rows.any() for rows in before["queue"])
        assert not any(rows.any() for rows in after["queue"])
    if name == "deepclusterv2":
        assert following.objective.memory.ids[:-1].tolist() == list(range(100, 130))
        assert following.objective.origin.tolist() == [0, 1]
        assert left.objective.memory.points.shape[1] == 0


@pytest.mark.parametrize("name", [name for name in CARRIED if "momentum" in CARRIED[name]])
def test_momentum_coefficients_begin_anew(name):
    model = made(name, **TAU)
    average, online = model.objective.momentum.backbone.blocks[0][0].weight, model.backbone.blocks[0][0].weight
    moved = []
    for moment in (END, at(0)):
        model.objective.begin_task(start(1))
        with torch.no_grad():
            online.copy_(average + 1)
        before = average.clone()
        model.objective.after_step(model.backbone, moment)
        moved.append((average - before).mean().item())
    assert moved[0] < 0.001
    assert moved[1] == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_prototypes_are_frozen_again_at_the_start_of_each_task(name):
    model = made(name)
    model.objective.begin_task(start(1))
    frozen = []
    for moment in (END, at(0)):
        model.objective.begin_epoch(moment)
        model.objective.prototypes.direction.grad = torch.ones_like(model.objective.prototypes.direction)
        model.objective.after_backward(moment)
        frozen.append(model.objective.prototypes.direction.grad is None)
    assert frozen == [False, True]


def test_temperatures_of_dino_and_the_wait_for_swavs_queues_begin_anew():
    warm_up = {"warmup_target_temperature": 0.02, "target_temperature": 0.06, "warmup_target_temperature_epochs": 3}
    dino, swav = made("dino", **warm_up).objective, made("swav", epoch_queue_starts=2).objective
    seen = []
    for moment in (END, at(0)):
        dino.begin_epoch(moment), swav.begin_epoch(moment)
        seen.append((dino.target_temperature, swav.uses_queue))
    assert seen == [(0.06, True), (0.02, False)]
