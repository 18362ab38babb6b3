"""NNCLR: one direction of the loss, then the objective's own loss, its neighbors and its queue before and after."""

import pytest
import torch

from cassle.objectives.nnclr import nearest, nnclr_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model


@pytest.mark.golden(Row("nnclr", ("nn", "p")))
def test_loss_of_one_direction_and_gradients_equal_the_reference(case, precision):
    leaves = {name: value.requires_grad_() for name, value in case.inputs(precision.dtype).items()}
    loss = nnclr_loss(leaves["nn"], leaves["p"], case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


def filled(case, dtype):
    """The objective with the queue of a case."""
    hp = case.hp
    sizes = {"hidden_dim": 2, "output_dim": hp["D"], "pred_hidden_dim": 2, "queue_size": hp["K"]}
    objective = tiny_model("nnclr", {**sizes, "temperature": hp["temperature"]}).to(dtype).objective
    objective.queue.copy_(case["queue"])
    objective.pointer.fill_(hp["queue_ptr"])
    return objective


@pytest.mark.golden(Row("nnclr", ("z1", "z2", "p1", "p2", "queue")))
def test_loss_of_a_step_and_its_queue_equal_the_reference(case, precision):
    objective, inputs = filled(case, precision.dtype), case.inputs(precision.dtype)
    leaves = {name: inputs[name].requires_grad_() for name in ("z1", "z2", "p1", "p2")}
    outputs = Outputs([], [leaves["z1"], leaves["z2"]], [leaves["p1"], leaves["p2"]])
    loss = objective.loss(outputs, None)
    with torch.no_grad():
        objective.after_loss(outputs, None)
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal(objective.queue, case["queue_after"], "queue")
    assert objective.pointer == case["queue_ptr_after"]
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("nnclr", ("z1", "z2", "queue")))
def test_neighbors_equal_the_reference(case, precision):
    objective, inputs = filled(case, precision.dtype), case.inputs(precision.dtype)
    for view in (1, 2):
        assert nearest(inputs[f"z{view}"], objective.queue).equal(case[f"nn_index{view}"])
    agree = case["queue_y"][nearest(inputs["z1"], objective.queue)] == case["targets"]
    assert agree.double().mean().item() == pytest.approx(case["nn_acc"], abs=1e-5)


@pytest.mark.golden(Row("nnclr", ("z1", "queue", "queue_y", "targets")))
def test_rows_of_the_queue_have_the_indices_of_their_labels_in_the_reference(case):
    objective = filled(case, torch.float64)
    objective.after_loss(Outputs([], [case["z1"], case["z2"]]), None)
    moved = (objective.queue != case["queue"]).any(dim=1)
    assert case["queue_y_after"][moved].equal(case["targets"])
    assert case["queue_y_after"][~moved].equal(case["queue_y"][~moved])
