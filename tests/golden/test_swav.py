"""SwAV: assignments by Sinkhorn, the loss of given assignments, then the objective's own with queues and prototypes."""

import pytest
import torch

from cassle.objectives.base import Moment
from cassle.objectives.swav import sinkhorn, swav_loss
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model


def per_view(values, name):
    return [values[key] for key in sorted(values) if key.removeprefix(name).isdigit()]


@pytest.mark.golden(Row("sinkhorn", ("scores",)))
def test_assignments_equal_the_reference(case, precision):
    found = sinkhorn(case.inputs(precision.dtype)["scores"], case.hp["epsilon"], case.hp["num_iters"])
    precision.equal(found, precision.expected(case, "assignments"), "assignments")


@pytest.mark.golden(Row("swav", ("preds1", "preds2", "assign1", "assign2")))
def test_loss_of_given_assignments_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    leaves = {name: value.requires_grad_() for name, value in inputs.items() if name.startswith("preds")}
    assignments = per_view(inputs, "assign")
    assert len(assignments) == len(leaves) == case.hp["V"]
    loss = swav_loss(per_view(leaves, "preds"), assignments, case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, leaves, case)


@pytest.mark.golden(Row("swav", ("z1", "z2", "proto_v", "proto_g")))
def test_scores_assignments_loss_queues_and_gradients_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    settings = {
        "hidden_dim": 2,
        "output_dim": hp["D"],
        "num_prototypes": hp["C"],
        "prototypes": "free",
        "temperature": hp["temperature"],
        "sk_epsilon": hp["epsilon"],
        "sk_iters": hp["num_iters"],
        "queue_size": hp["queue_rows"],
        "epoch_queue_starts": 0,
    }
    objective = tiny_model("swav", settings).to(precision.dtype).objective
    objective.begin_epoch(Moment(epoch=0, step=0, epochs=1, steps=1))
    with torch.no_grad():
        objective.prototypes.direction.copy_(inputs["proto_v"])
        objective.prototypes.gain.copy_(inputs["proto_g"])
        if "queue" in inputs:
            objective.queue.copy_(inputs["queue"])
    z = [inputs[name].requires_grad_() for name in ("z1", "z2")]
    outputs = Outputs([], z, [objective.prototype_scores(view) for view in z])
    loss = objective.loss(outputs, None)
    assignments = objective.assignments(outputs.p)
    with torch.no_grad():
        objective.after_loss(outputs, None)
    for view, (p, assignment) in enumerate(zip(outputs.p, assignments, strict=True), start=1):
        precision.equal(p, case[f"p{view}"], f"scores of view {view}")
        precision.equal(assignment, case[f"assign{view}"], f"assignment of view {view}")
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    if "queue_after" in case:
        precision.equal(objective.queue, case["queue_after"], "queues")
    prototypes = {"proto_v": objective.prototypes.direction, "proto_g": objective.prototypes.gain}
    precision.equal_gradients(loss, {"z1": z[0], "z2": z[1], **prototypes}, case)


@pytest.mark.golden(Row("swav", ("z1", "z2", "proto_v", "proto_g")))
def test_normalized_prototypes_are_those_of_the_reference_with_length_one(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    settings = {"hidden_dim": 2, "output_dim": hp["D"], "num_prototypes": hp["C"]}
    objective = tiny_model("swav", settings).to(precision.dtype).objective
    with torch.no_grad():
        objective.prototypes.direction.copy_(inputs["proto_v"])
    for view in (1, 2):
        expected = case[f"p{view}"] / case["proto_g"].T
        precision.equal(objective.prototype_scores(inputs[f"z{view}"]), expected, f"scores of view {view}")
