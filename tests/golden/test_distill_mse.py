"""Distillation by mean squared error: the pure loss and gradients of the predictions."""

import pytest

from cassle.distillations.mse import MeanSquaredError, mse_distillation_loss

from .files import Row


@pytest.mark.golden(Row("distill_predictive_mse", ("p1", "p2", "frozen_z1", "frozen_z2")))
def test_loss_and_gradients_of_predictions_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    leaves = {name: inputs[name].requires_grad_() for name in ("p1", "p2")}
    loss = mse_distillation_loss(list(leaves.values()), [inputs["frozen_z1"], inputs["frozen_z2"]])
    precision.equal(loss, precision.expected(case, "distill_loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("distill_predictive_mse"))
def test_default_weight_is_that_of_the_reference(case):
    assert MeanSquaredError.default_weight == case.hp["distill_lamb"]
