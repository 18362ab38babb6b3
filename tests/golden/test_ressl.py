"""ReSSL: the pure loss, then the objective's own loss with its queue before and after."""

import pytest
import torch

from cassle.objectives.ressl import ressl_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model


@pytest.mark.golden(Row("ressl", ("q", "k", "queue")))
def test_loss_and_gradients_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    queue = inputs.pop("queue")
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    loss = ressl_loss(leaves["q"], leaves["k"], queue, hp["temperature_q"], hp["temperature_k"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("ressl", ("q_raw", "k_raw", "queue")))
def test_loss_of_a_step_and_its_queue_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    settings = {name: hp[name] for name in ("temperature_q", "temperature_k")}
    sizes = {"hidden_dim": 2, "output_dim": hp["D"], "queue_size": hp["K"]}
    objective = tiny_model("ressl", {**sizes, **settings}).to(precision.dtype).objective
    objective.queue.copy_(inputs.pop("queue"))
    objective.pointer.fill_(hp["queue_ptr"])
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    unused = torch.full_like(leaves["q_raw"], torch.nan)
    outputs = Outputs([], [leaves["q_raw"], unused], targets=[unused, leaves["k_raw"]])
    loss = objective.loss(outputs, None)
    with torch.no_grad():
        objective.after_loss(outputs, None)
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal(objective.queue, case["queue_after"], "queue")
    assert objective.pointer == case["queue_ptr_after"]
    precision.equal_gradients(loss, leaves, case)
