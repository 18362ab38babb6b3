"""SupCon: which rows are positives, the loss, and gradients of both views."""

import pytest

from cassle.objectives.supcon import positive_pairs, supcon_loss

from .files import Row


@pytest.mark.golden(Row("supcon", ("z1", "z2", "labels")))
def test_positives_loss_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    labels = inputs.pop("labels")
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    for mask in ("extra_pos_mask", "full_pos_mask"):
        assert positive_pairs(labels).equal(case[mask])
    assert positive_pairs(labels).sum() == case["n_positives"]
    loss = supcon_loss(leaves["z1"], leaves["z2"], labels, case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)
