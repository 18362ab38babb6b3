"""Less-forget: directions of features, and a weight that grows with the past."""

from dataclasses import replace

import pytest
import torch

from cassle.strategies.less_forget import LessForget, LessForgetSettings, less_forget_loss


def test_the_loss_looks_at_directions_alone():
    old = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert less_forget_loss([5 * old], [old]).item() == pytest.approx(0)
    assert less_forget_loss([-old], [old]).item() == pytest.approx(2)
    # one view turned by a right angle in its first row, the other not at all: (1 + 0) / 2 and 0, averaged
    turned = torch.tensor([[0.0, 3.0], [0.0, 1.0]])
    assert less_forget_loss([turned, old], [old, old]).item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("adaptive", "task", "growth"), [(True, 1, 1.0), (True, 4, 2.0), (True, 9, 3.0), (False, 9, 1.0)]
)
def test_the_weight_grows_with_the_root_of_the_number_of_past_tasks(model, step_of, teacher_of, adaptive, task, growth):
    step = step_of(model, teacher_of(model))
    step = replace(step, batch=replace(step.batch, task=task))
    loss = less_forget_loss(step.outputs.features, step.teacher_outputs.features)
    strategy = LessForget(LessForgetSettings(weight=2.0, adaptive=adaptive), model)
    torch.testing.assert_close(strategy.penalty(step), 2.0 * growth * loss)
    assert loss > 0


def test_it_needs_a_teacher_and_has_none_in_the_first_task(model, step_of):
    strategy = LessForget(LessForgetSettings(teacher_batchnorm="batch"), model)
    assert strategy.teacher_batchnorm == "batch"
    assert strategy.penalty(step_of(model)) is None
