"""Distillation of prototype assignments: scores against own and frozen prototypes, through the predictor or not."""

import pytest
import torch

from cassle.training.step import Outputs, Step

from .files import Row
from .networks import cassle_strategy, tiny_model

PREDICTOR = {
    "w1": "predictor.0.weight",
    "b1": "predictor.0.bias",
    "gamma": "predictor.1.weight",
    "beta": "predictor.1.bias",
    "w2": "predictor.3.weight",
    "b2": "predictor.3.bias",
}
OWN = {"proto_v": "prototypes.direction", "proto_g": "prototypes.gain"}
FROZEN = {"frozen_proto_v": "prototypes.direction", "frozen_proto_g": "prototypes.gain"}


class Frozen:
    """A teacher whose projections are those of the file, whatever the views."""

    def __init__(self, objective, z):
        self.objective, self.z = objective, z

    def __call__(self, views):
        return Outputs([], self.z)


def swav(case, dtype):
    settings = {"hidden_dim": 2, "output_dim": case.hp["D"], "num_prototypes": case.hp["C"], "prototypes": "free"}
    return tiny_model("swav", settings).to(dtype)


def fill(module, places, inputs):
    """Copy inputs into parameters and return these by the names of the inputs."""
    found = {name: module.get_parameter(place) for name, place in places.items() if name in inputs}
    with torch.no_grad():
        for name, parameter in found.items():
            parameter.copy_(inputs[name])
    return found


@pytest.mark.golden(Row("distill_knowledge", ("proto_v", "proto_g", "frozen_proto_v", "frozen_proto_g")))
def test_loss_gradients_and_weighted_sum_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    form = {"name": "prototypes", "temperature": hp["distill_temperature"]}
    predictor = {"hidden_dim": hp["H"]} if "w1" in inputs else {"depth": 0}
    model, teacher = swav(case, precision.dtype), swav(case, precision.dtype).objective
    given = {"weight": hp["distill_lamb"], "distillation": {**form, **predictor}}
    distillation = (strategy := cassle_strategy(model, given).to(precision.dtype)).distillation
    leaves = fill(distillation, {**PREDICTOR, **OWN}, inputs)
    fill(teacher, FROZEN, inputs)
    teacher.requires_grad_(False)
    first = "z" if "w1" in inputs else "p"
    student = {name: inputs[name].requires_grad_() for name in (f"{first}1", f"{first}2")}
    frozen = [inputs["frozen_z1"], inputs["frozen_z2"]]

    predicted = []
    distillation.predictor.register_forward_hook(lambda module, args, output: predicted.append(output))
    step = Step(None, [], model, Outputs([], list(student.values())), Frozen(teacher, frozen))
    penalty = strategy.penalty(step)

    loss = penalty / hp["distill_lamb"]
    precision.equal(loss, precision.expected(case, "distill_loss"), "loss")
    precision.equal(hp["base_loss"] + penalty, case["total"], "total")
    for view, p in enumerate(predicted, start=1):
        precision.equal(p, case[f"p{view}"], f"prediction of view {view}")
    if "w1" in inputs:
        norm = distillation.predictor[1]
        precision.equal(norm.running_mean, case["bn_running_mean"], "running mean")
        precision.equal(norm.running_var, case["bn_running_var"], "running variance")
    precision.equal_gradients(loss, {**student, **leaves}, case)
