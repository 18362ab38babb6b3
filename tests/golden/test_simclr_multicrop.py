"""SimCLR with any number of views: the loss for given masks, and the masks themselves."""

import pytest
import torch

from cassle.objectives.simclr import masked_simclr_loss, simclr_loss, view_masks
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model

ROW = Row("simclr_multicrop", ("z", "pos_mask", "neg_mask"))


@pytest.mark.golden(ROW)
def test_loss_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    leaves = {"z": inputs["z"].requires_grad_()}
    loss = masked_simclr_loss(leaves["z"], inputs["pos_mask"], inputs["neg_mask"], case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(ROW)
def test_masks_equal_the_reference(case):
    positives, negatives = view_masks(case["ids"], case.hp["V"])
    if case.hp["mode"] == "sparse":
        positives &= (case["ids"].repeat(case.hp["V"]) > 0)[:, None]
    assert positives.equal(case["pos_mask"])
    assert negatives.equal(case["neg_mask"])


@pytest.mark.golden(ROW)
def test_objective_takes_as_many_views_as_it_is_given(case, precision):
    hp = case.hp
    settings = {"hidden_dim": 2, "output_dim": hp["D"], "temperature": hp["temperature"]}
    objective = tiny_model("simclr", settings).objective
    z = case["z"].to(precision.dtype)
    loss = objective.loss(Outputs([], list(z.chunk(hp["V"]))), None)
    masks = view_masks(torch.arange(hp["N"]), hp["V"])
    precision.equal(loss, masked_simclr_loss(z, *masks, hp["temperature"]), "loss")


@pytest.mark.golden(Row("simclr", ("z1", "z2")))
def test_two_views_give_the_loss_of_simclr(case, precision):
    inputs = case.inputs(precision.dtype)
    masks = view_masks(torch.arange(len(inputs["z1"])), 2)
    loss = masked_simclr_loss(torch.cat([inputs["z1"], inputs["z2"]]), *masks, case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal(simclr_loss(inputs["z1"], inputs["z2"], case.hp["temperature"]), loss, "two-view function")
