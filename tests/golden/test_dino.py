"""DINO: temperatures, and loss, gradients and center over consecutive steps."""

import pytest
import torch

from cassle.objectives.base import Moment
from cassle.objectives.dino import target_temperature
from cassle.tensors.outputs import Outputs

from .files import Row
from .networks import tiny_model
from .precision import FLOAT64


@pytest.mark.golden(Row("dino", ("epochs", "student0", "teacher0")))
def test_temperatures_of_targets_equal_the_reference(case):
    hp = case.hp
    warmup = hp["warmup_teacher_temp"], hp["teacher_temp"], hp["warmup_teacher_temp_epochs"]
    found = [target_temperature(*warmup, epoch) for epoch in range(hp["num_epochs"])]
    FLOAT64.equal(found, case["teacher_temp_schedule"], "temperatures")


@pytest.mark.golden(Row("dino", ("epochs", "student0", "teacher0")))
def test_losses_gradients_and_centers_of_three_steps_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    settings = {
        "hidden_dim": 2,
        "output_dim": 2,
        "num_prototypes": hp["P"],
        "temperature": hp["student_temp"],
        "target_temperature": hp["teacher_temp"],
        "warmup_target_temperature": hp["warmup_teacher_temp"],
        "warmup_target_temperature_epochs": hp["warmup_teacher_temp_epochs"],
        "center_momentum": hp["center_momentum"],
    }
    objective = tiny_model("dino", settings).to(precision.dtype).objective
    for step, epoch in enumerate(inputs["epochs"].tolist()):
        objective.begin_epoch(Moment(epoch, step, hp["num_epochs"], hp["num_epochs"]))
        student, targets = inputs[f"student{step}"].requires_grad_(), inputs[f"teacher{step}"].requires_grad_()
        outputs = Outputs([], [], list(student.chunk(hp["num_crops"])), list(targets.chunk(2)))
        loss = objective.loss(outputs, None)
        with torch.no_grad():
            objective.after_loss(outputs, None)
        precision.equal(loss, precision.expected(case, f"loss{step}"), f"loss of step {step}")
        own, stopped = torch.autograd.grad(loss, [student, targets], allow_unused=True)
        precision.equal(own, case[f"grad_student{step}"], f"gradient of step {step}")
        assert stopped is None
        precision.equal(objective.center, case[f"center_after{step}"][0], f"center after step {step}")
