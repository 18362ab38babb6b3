"""Fine-tuning adds nothing."""

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.objectives.simclr import SimCLR
from cassle.strategies.finetune import Finetune
from cassle.training.step import training_step


def test_the_loss_of_a_step_is_that_of_the_objective_to_the_bit(model, batch, step_of):
    views = step_of(model).views
    losses, step = training_step(batch, lambda drawn: views, model, Finetune(Options(), model), None)
    assert losses.penalty is None
    assert torch.equal(losses.total, losses.objective)
    assert torch.equal(losses.objective, model.objective.loss(step.outputs, batch))
    assert step.batch is batch
    assert step.views is views


def test_it_has_nothing_to_train_to_keep_or_to_load(model):
    strategy = Finetune(Options(), model)
    assert strategy.groups() == []
    assert strategy.state_dict() == {}
    assert strategy.teacher_batchnorm is None
    assert Finetune.shares_first_task


def test_it_has_no_settings():
    assert Finetune.resolve({}, SimCLR) == {}
    with pytest.raises(SettingsError, match="unknown key 'weight'"):
        Finetune.resolve({"weight": 1.0}, SimCLR)
