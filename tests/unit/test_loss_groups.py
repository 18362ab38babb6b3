"""A loss in groups is the mean of the losses of separate batches, for every objective and distillation."""

from dataclasses import replace

import pytest
import torch

from cassle.objectives.base import Moment, TaskStart
from cassle.strategies.context import Step
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs
from cassle.tensors.scope import Scope
from cassle.training.step import objective_loss
from tests.unit.shared_cases import CLASSES, OBJECTIVES, SIDE, task

BATCH, GROUP = 16, 8
GROUPS = [slice(0, GROUP), slice(GROUP, BATCH)]


@pytest.fixture(params=OBJECTIVES)
def setting(request):
    """Model, strategy and teacher of a second task with CaSSLe, two views and the batch they are of."""
    model, strategy, teacher = task(request.param, "cassle", "frozen")
    draws = torch.Generator().manual_seed(1)
    features = torch.randn(40, 32, generator=draws, dtype=torch.float64)
    model.objective.begin_task(TaskStart(1, 0, lambda: (torch.arange(40), features)))
    model.objective.begin_epoch(Moment(0, 0, 1, 4))
    views = [torch.randn(BATCH, 3, SIDE, SIDE, generator=draws, dtype=torch.float64) for _ in range(2)]
    index = torch.arange(BATCH)
    return model, strategy, teacher, views, Batch(index, None, index % CLASSES, 1, index < 0, draws)


def leaves_of(outputs: Outputs) -> tuple[Outputs, list[torch.Tensor]]:
    """The same outputs as leaves of a graph of their own, and those that gradients are taken of."""
    z, p = ([x.detach().requires_grad_() for x in part] for part in (outputs.z, outputs.p))
    return Outputs(outputs.features, z, p, outputs.targets), [*z, *p]


def gradients(loss: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))


def test_an_objective_sees_one_group_at_a_time(setting):
    model, _, _, views, batch = setting
    made = model(views)
    outputs, leaves = leaves_of(made)
    batch.generator.manual_seed(2)
    loss = objective_loss(Step(batch, views, model, outputs, None, scope=Scope(None, GROUP)))
    found, separate = gradients(loss, leaves), []
    batch.generator.manual_seed(2)
    for rows in GROUPS:
        own, their_leaves = leaves_of(made.rows(rows))
        facts = {key: getattr(batch, key)[rows] for key in ("index", "labels", "is_replay")}
        separate.append(model.objective.loss(own, replace(batch, **facts)))
        for whole, part in zip(found, gradients(separate[-1], their_leaves), strict=True):
            torch.testing.assert_close(whole[rows], part / len(GROUPS), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(loss, torch.stack(separate).mean(), rtol=1e-8, atol=1e-8)


def test_a_distillation_compares_one_group_at_a_time(setting):
    model, strategy, teacher, views, _ = setting
    form = strategy.distillation
    form.predictor.eval()  # its BatchNorm sees the whole batch, whatever losses compare
    z = [x.detach().requires_grad_() for x in model(views).z]
    frozen = teacher(views).z
    loss = form.loss(z, frozen, teacher.objective, Scope(None, GROUP))
    found, separate = gradients(loss, z), []
    for rows in GROUPS:
        own = [x.detach()[rows].requires_grad_() for x in z]
        separate.append(form.loss(own, [x[rows] for x in frozen], teacher.objective))
        for whole, part in zip(found, gradients(separate[-1], own), strict=True):
            torch.testing.assert_close(whole[rows], part / len(GROUPS), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(loss, torch.stack(separate).mean(), rtol=1e-8, atol=1e-8)
