"""MoCo V2+: one direction of the loss, then the objective's own loss with its queues before and after."""

import pytest
import torch

from cassle.objectives.mocov2plus import moco_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model


@pytest.mark.golden(Row("moco", ("query", "key", "queue")))
def test_loss_of_one_direction_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    queue = inputs.pop("queue")
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    loss = moco_loss(leaves["query"], leaves["key"], queue, case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("moco", ("q1_raw", "q2_raw", "k1_raw", "k2_raw", "queue")))
def test_loss_queues_and_distilled_projections_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    settings = {"hidden_dim": 2, "output_dim": hp["D"], "queue_size": hp["K"], "temperature": hp["temperature"]}
    objective = tiny_model("mocov2plus", settings).to(precision.dtype).objective
    objective.queue.copy_(inputs.pop("queue"))
    objective.pointer.fill_(hp["queue_ptr"])
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    queries, keys = [[leaves[f"{side}{view}_raw"] for view in (1, 2)] for side in "qk"]
    outputs = Outputs([], queries, targets=keys)
    loss = objective.loss(outputs, None)
    with torch.no_grad():
        objective.after_loss(outputs, None)
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    for view, query in enumerate(queries, start=1):
        precision.equal(objective.distillation_input(query), case[f"z{view}_returned"], f"distilled view {view}")
    precision.equal(objective.queue, case["queue_after"], "queues")
    assert objective.pointer == case["queue_ptr_after"]
    precision.equal_gradients(loss, leaves, case)
