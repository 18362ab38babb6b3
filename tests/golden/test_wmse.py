"""W-MSE: whitening, the distance of whitened vectors, and the loss of a step in given groups."""

import pytest

from cassle.objectives.wmse import mse_of_directions, whiten, wmse_loss

from .files import Row


@pytest.mark.golden(Row("whitening", ("x", "cotangent")))
def test_whitened_rows_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    cotangent, leaves = inputs["cotangent"], {"x": inputs["x"].requires_grad_()}
    out = whiten(leaves["x"], case.hp["eps"])
    dot = (cotangent * out).sum()
    precision.equal(out, case["out"], "whitened rows")
    precision.equal(dot, case["dot"], "product with the cotangent")
    precision.equal_gradients(dot, leaves, case)


@pytest.mark.golden(Row("wmse", ("z1", "z2")))
def test_distance_of_directions_and_gradients_equal_the_reference(case, precision):
    leaves = {name: value.requires_grad_() for name, value in case.inputs(precision.dtype).items()}
    loss = mse_of_directions(leaves["z1"], leaves["z2"], case.hp["detach_second"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("wmse", ("v1", "v2", "perms")))
def test_loss_of_a_step_and_gradients_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    groups = inputs.pop("perms").view(hp["whitening_iters"], -1, hp["whitening_size"])
    leaves = {f"v{view}": inputs[f"v{view}"].requires_grad_() for view in range(1, hp["num_crops"] + 1)}
    loss = wmse_loss(list(leaves.values()), groups, hp["whitening_eps"], detach_second=True)
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)
