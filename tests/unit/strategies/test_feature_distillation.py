"""Feature distillation: squared distances of features."""

import pytest
import torch

from cassle.strategies.feature_distillation import (
    FeatureDistillation,
    FeatureDistillationSettings,
    feature_distillation_loss,
)


def test_the_loss_is_the_mean_squared_distance():
    old = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    moved = old + torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    assert feature_distillation_loss([moved, old], [old, old]).item() == pytest.approx((4 / 4 + 0) / 2)


def test_the_penalty_is_the_weighted_distance_to_the_teachers_features(model, step_of, teacher_of):
    strategy = FeatureDistillation(FeatureDistillationSettings(weight=3.0), model)
    step = step_of(model, teacher_of(model))
    loss = feature_distillation_loss(step.outputs.features, step.teacher_outputs.features)
    torch.testing.assert_close(strategy.penalty(step), 3.0 * loss)
    assert strategy.penalty(step_of(model)) is None
    assert strategy.groups() == []
