"""Distillation of logits: cross-entropy of class probabilities through the frozen classifier, in closed form."""

import math

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.distillations.logits import Logits, logit_distillation_loss
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.simclr import SimCLR
from cassle.objectives.supervised import Supervised
from cassle.strategies.cassle import Cassle

CLASSES, DIM = 5, 32
TEMPERATURES = pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])


def drawn(dim=CLASSES, views=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(6, dim, dtype=torch.float64, generator=draw) for _ in range(views)]


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def classifying(seed):
    torch.manual_seed(seed)
    return Supervised(Supervised.Settings(), Conv3Narrow(8, Options()), CLASSES).double()


@TEMPERATURES
def test_a_teacher_sure_of_a_class_takes_the_place_of_a_label(temperature):
    sure = 1e4 * torch.eye(CLASSES, dtype=torch.float64)
    close(logit_distillation_loss([0 * sure], [sure], temperature), temperature**2 * math.log(CLASSES))
    ours = torch.eye(CLASSES, dtype=torch.float64)
    expected = temperature**2 * math.log(1 + (CLASSES - 1) * math.exp(-1 / temperature))
    close(logit_distillation_loss([ours], [sure], temperature), expected)


@TEMPERATURES
def test_a_copy_costs_the_teachers_entropy_and_has_nothing_to_learn(temperature):
    theirs = drawn()
    ours = [view.clone().requires_grad_() for view in theirs]
    loss = logit_distillation_loss(ours, theirs, temperature)
    chances = [(view / temperature).softmax(dim=1) for view in theirs]
    close(loss, temperature**2 * sum(-(q * q.log()).sum(dim=1).mean() for q in chances) / 2)
    for gradient in torch.autograd.grad(loss, ours):
        close(gradient, torch.zeros(6, CLASSES))


def test_a_high_temperature_leaves_a_gradient_that_does_not_depend_on_it():
    theirs, ours = drawn(), [view.requires_grad_() for view in drawn(seed=1)]
    hot, hotter = (
        torch.autograd.grad(logit_distillation_loss(ours, theirs, temperature), ours)[0] for temperature in (1e4, 2e4)
    )
    torch.testing.assert_close(hot, hotter, rtol=1e-3, atol=1e-9)
    assert hot.abs().max() > 1e-3


def test_the_order_of_images_and_a_shift_of_all_logits_do_not_matter():
    ours, theirs, order = drawn(), drawn(seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
    expected = logit_distillation_loss(ours, theirs, 2.0)
    close(logit_distillation_loss([v[order] for v in ours], [v[order] for v in theirs], 2.0), expected)
    close(logit_distillation_loss([v + 3 for v in ours], [v - 7 for v in theirs], 2.0), expected)


def test_a_view_is_compared_with_the_same_view_of_the_teacher():
    z = drawn()
    assert logit_distillation_loss(z, z, 2.0) < logit_distillation_loss(z, z[::-1], 2.0)


def test_both_sides_go_through_the_teachers_classifier_and_not_the_students():
    student, teacher = classifying(0), classifying(1)
    form = Logits(Logits.Settings(depth=0, temperature=3.0), DIM, student)
    p, frozen = drawn(DIM), drawn(DIM, seed=1)
    ours, theirs = ([teacher.classify(z) for z in views] for views in (p, frozen))
    assert form.loss(p, frozen, teacher) == logit_distillation_loss(ours, theirs, 3.0)


def test_the_gradient_reaches_predictor_and_projections_but_no_teacher():
    teacher, z = classifying(1).requires_grad_(False), [view.requires_grad_() for view in drawn(DIM)]
    form = Logits(Logits.Settings(hidden_dim=6), DIM, teacher).double()
    frozen = [view.requires_grad_() for view in drawn(DIM, seed=1)]
    form.loss(z, frozen, teacher).backward()
    assert all(view.grad.any() for view in z)
    assert all(parameter.grad is not None for parameter in form.parameters())
    assert all(view.grad is None for view in frozen)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_an_objective_without_a_classifier_is_refused():
    with pytest.raises(SettingsError, match="'logits' does not fit SimCLR: it has no classifier of its own"):
        Cassle.resolve({"distillation": {"name": "logits"}}, SimCLR)


def test_it_is_the_form_of_supervised_training():
    resolved = Cassle.resolve({}, Supervised)
    assert (resolved["distillation"]["name"], resolved["weight"]) == ("logits", 1)
