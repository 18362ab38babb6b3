"""SimSiam: one direction of the loss, the objective's mean of both, and the gradients that are stopped."""

import pytest

from cassle.objectives.simsiam import simsiam_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model


@pytest.mark.golden(Row("simsiam", ("p", "z")))
def test_loss_of_one_direction_and_gradients_equal_the_reference(case, precision):
    leaves = {name: value.requires_grad_() for name, value in case.inputs(precision.dtype).items()}
    loss = simsiam_loss(leaves["p"], leaves["z"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("simsiam", ("z1", "z2", "p1", "p2")))
def test_loss_of_both_directions_and_gradients_equal_the_reference(case, precision):
    leaves = {name: value.requires_grad_() for name, value in case.inputs(precision.dtype).items()}
    objective = tiny_model("simsiam", {"hidden_dim": 2, "output_dim": 2, "pred_hidden_dim": 2}).objective
    outputs = Outputs([], z=[leaves["z1"], leaves["z2"]], p=[leaves["p1"], leaves["p2"]])
    loss = objective.loss(outputs, None)
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)
