"""Distillation losses through CaSSLe's own path: predictor, form, weight; values, gradients, running statistics."""

from operator import attrgetter

import pytest
import torch

from cassle.strategies.context import Step
from cassle.tensors.outputs import Outputs

from .forms import FORMS
from .networks import cassle_strategy, tiny_model

PREDICTOR = {
    "w1": "predictor.0.weight",
    "b1": "predictor.0.bias",
    "gamma": "predictor.1.weight",
    "beta": "predictor.1.bias",
    "w2": "predictor.3.weight",
    "b2": "predictor.3.bias",
}
RUNNING = {"bn_running_mean": "predictor.1.running_mean", "bn_running_var": "predictor.1.running_var"}


class FixedTeacher:
    """A teacher that returns the projections of the file for any views."""

    def __init__(self, objective, z):
        self.objective, self.z = objective, z

    def __call__(self, views):
        return Outputs([], self.z)


class Setting:
    """The CaSSLe strategy of a case, and its inputs in a step."""

    def __init__(self, form, case, dtype):
        inputs, hp = case.inputs(dtype), case.hp
        self.has_predictor = "w1" in inputs
        settings = form.objective_settings.items()
        given = {key: theirs(hp) if callable(theirs) else hp[theirs] for key, theirs in settings}
        self.model = tiny_model(form.objective, {"hidden_dim": 4, "output_dim": hp["D"], **given}).to(dtype)
        self.teacher = tiny_model(form.objective, {"hidden_dim": 4, "output_dim": hp["D"], **given}).to(dtype).objective
        depth = {"hidden_dim": hp["H"]} if self.has_predictor else {"depth": 0}
        self.strategy = cassle_strategy(self.model, form.cassle_settings(hp, **depth)).to(dtype)
        self.distillation = self.strategy.distillation
        self.names = {**(PREDICTOR if self.has_predictor else {}), **form.own}
        with torch.no_grad():
            for owner, places in ((self.distillation, self.names), (self.teacher, form.teacher)):
                for name, place in places.items():
                    attrgetter(place)(owner).copy_(inputs[name])
        first = "z" if self.has_predictor else "p"
        self.student = {name: inputs[name].requires_grad_() for name in (f"{first}1", f"{first}2")}
        self.frozen = [inputs["frozen_z1"], inputs["frozen_z2"]]

    def leaves(self):
        own = {name: attrgetter(place)(self.distillation) for name, place in self.names.items()}
        return {**self.student, **own}

    def step(self):
        views = list(self.student.values())
        outputs = Outputs([], views)
        return Step(None, views, self.model, outputs, FixedTeacher(self.teacher, self.frozen))


@pytest.mark.golden(*FORMS.values())
def test_distillation_loss_and_gradients_equal_the_reference(row, case, precision):
    setting = Setting(row, case, precision.dtype)
    predicted = []
    setting.distillation.predictor.register_forward_hook(lambda module, args, output: predicted.append(output))
    loss = setting.distillation.loss(list(setting.student.values()), setting.frozen, setting.teacher)
    precision.equal(loss, precision.expected(case, "distill_loss"), "loss")
    for view, p in enumerate(predicted, start=1):
        precision.equal(p, case[f"p{view}"], f"prediction of view {view}")
    assert len(predicted) == 2
    if setting.has_predictor:
        for name, place in RUNNING.items():
            precision.equal(attrgetter(place)(setting.distillation), case[name], name)
    precision.equal_gradients(loss, setting.leaves(), case)


@pytest.mark.golden(*FORMS.values())
def test_cassle_adds_lambda_times_the_distillation_loss(row, case, precision):
    setting = Setting(row, case, precision.dtype)
    total = case.hp["base_loss"] + setting.strategy.penalty(setting.step())
    precision.equal(total, case["total"], "total")
