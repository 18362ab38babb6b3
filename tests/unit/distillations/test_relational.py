"""Relational distillation: cross-entropy of relations to the teacher's queue, in closed form."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.distillations.relational import Relational, relational_distillation_loss
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.mocov2plus import MoCoV2Plus
from cassle.objectives.nnclr import NNCLR
from cassle.objectives.ressl import ReSSL
from cassle.objectives.simclr import SimCLR
from cassle.strategies.cassle import Cassle

DIM = 4


def drawn(views=2, rows=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, DIM, dtype=torch.float64, generator=draw) for _ in range(views)]


def anchors(count=7):
    return F.normalize(drawn(1, count, seed=9)[0], dim=1)


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def with_queue(kind, seed):
    torch.manual_seed(seed)
    sizes = {"hidden_dim": 6, "output_dim": DIM, "queue_size": 7}
    return kind(kind.Settings(**sizes), Conv3Narrow(8, Options()), 10).double()


def test_projections_at_right_angles_to_all_anchors_relate_to_them_alike():
    axes = torch.eye(5, dtype=torch.float64)
    close(relational_distillation_loss([axes[:1]], [axes[1:2]], axes[2:], 0.1, 0.04), math.log(3))


def test_a_projection_on_an_anchor_asks_for_that_anchor():
    axes = torch.eye(4, dtype=torch.float64)
    # At a teacher temperature this low the target is the anchor itself.
    right = relational_distillation_loss([axes], [axes], axes, 0.5, 1e-3)
    close(right, math.log(1 + 3 * math.exp(-2)))
    close(relational_distillation_loss([axes.roll(1, 0)], [axes], axes, 0.5, 1e-3), right + 2)


def test_at_equal_temperatures_a_copy_has_nothing_to_learn():
    frozen = drawn()
    p = [view.clone().requires_grad_() for view in frozen]
    loss = relational_distillation_loss(p, frozen, anchors(), 0.2, 0.2)
    relations = [(F.normalize(view, dim=1) @ anchors().T / 0.2).softmax(dim=1) for view in frozen]
    close(loss, sum(-(r * r.log()).sum(dim=1).mean() for r in relations) / 2)
    for gradient in torch.autograd.grad(loss, p):
        close(gradient, torch.zeros(6, DIM))


def test_order_of_images_order_of_anchors_and_lengths_do_not_matter():
    p, frozen, order = drawn(), drawn(seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
    expected = relational_distillation_loss(p, frozen, anchors(6), 0.1, 0.04)
    permuted = relational_distillation_loss([v[order] for v in p], [v[order] for v in frozen], anchors(6), 0.1, 0.04)
    close(permuted, expected)
    close(relational_distillation_loss(p, frozen, anchors(6)[order], 0.1, 0.04), expected)
    close(relational_distillation_loss([3 * v for v in p], [v / 7 for v in frozen], anchors(6), 0.1, 0.04), expected)


def test_a_view_is_compared_with_the_same_view_of_the_teacher():
    z = drawn()
    own, crossed = (relational_distillation_loss(z, frozen, anchors(), 0.1, 0.1) for frozen in (z, z[::-1]))
    assert own < crossed


@pytest.mark.parametrize("kind", [ReSSL, NNCLR])
def test_the_anchors_are_the_teachers_queue_and_not_the_students(kind):
    student, teacher = with_queue(kind, 0), with_queue(kind, 1)
    form = Relational(Relational.Settings(depth=0, temperature=0.3, teacher_temperature=0.05), DIM, student)
    p, frozen = drawn(), drawn(seed=1)
    assert form.loss(p, frozen, teacher) == relational_distillation_loss(p, frozen, teacher.queue, 0.3, 0.05)


def test_the_gradient_reaches_predictor_and_projections_but_no_teacher():
    teacher, z = with_queue(ReSSL, 1), [view.requires_grad_() for view in drawn()]
    form = Relational(Relational.Settings(hidden_dim=6), DIM, teacher).double()
    frozen = [view.requires_grad_() for view in drawn(seed=1)]
    form.loss(z, frozen, teacher).backward()
    assert all(view.grad.any() for view in z)
    assert all(parameter.grad is not None for parameter in form.parameters())
    assert all(view.grad is None for view in frozen)


@pytest.mark.parametrize("kind", [SimCLR, MoCoV2Plus])
def test_an_objective_without_anchors_is_refused(kind):
    with pytest.raises(SettingsError, match=r"'relational' does not fit .*it offers no projections"):
        Cassle.resolve({"distillation": {"name": "relational"}}, kind)


def test_it_is_the_form_of_ressl_at_the_temperatures_of_its_loss():
    form = Cassle.resolve({}, ReSSL)["distillation"]
    assert form["name"] == "relational"
    own = ReSSL.Settings()
    assert (form["temperature"], form["teacher_temperature"]) == (own.temperature_q, own.temperature_k)
    assert Cassle.resolve({}, ReSSL)["weight"] == 1
