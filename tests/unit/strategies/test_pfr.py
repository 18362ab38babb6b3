"""PFR: old features predicted from new ones."""

import pytest
import torch

from cassle.distillations.predictive import predictive_distillation_loss
from cassle.strategies.pfr import PFR, PFRSettings, pfr_loss


def test_the_loss_is_the_negative_cosine():
    old = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert pfr_loss([3 * old], [old]).item() == pytest.approx(-1)
    turned = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert pfr_loss([turned, old], [old, old]).item() == pytest.approx((-0.5 - 1) / 2)


def test_it_is_the_predictive_form_on_features_but_for_scale_and_constant():
    draw = torch.Generator().manual_seed(0)
    predicted, old = ([torch.randn(5, 4, generator=draw) for _ in range(2)] for _ in range(2))
    torch.testing.assert_close(2 + 2 * pfr_loss(predicted, old), predictive_distillation_loss(predicted, old))


def test_the_penalty_compares_predictions_with_the_teachers_features(model, step_of, teacher_of):
    strategy = PFR(PFRSettings(weight=0.5, hidden_dim=7), model)
    step = step_of(model, teacher_of(model))
    strategy.eval()
    predicted = [strategy.predictor(view) for view in step.outputs.features]
    torch.testing.assert_close(strategy.penalty(step), 0.5 * pfr_loss(predicted, step.teacher_outputs.features))
    assert strategy.penalty(step_of(model)) is None


def test_the_predictor_is_trained_and_has_the_published_shape(model):
    strategy = PFR(PFRSettings(), model)
    (group,) = strategy.groups()
    assert {id(p) for p in group.parameters} == {id(p) for p in strategy.parameters()}
    assert [tuple(p.shape) for p in strategy.parameters()] == [(256, 32), (256,), (256,), (32, 256), (32,)]
