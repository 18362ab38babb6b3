"""Distillation of prototype assignments: closed forms, whose prototypes are whose, and what it fits."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.distillations.prototypes import PrototypeAssignment, PrototypesSettings, prototypes_distillation_loss
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import objectives
from cassle.objectives.simclr import SimCLR
from cassle.strategies.cassle import Cassle

DIM = 4
OBJECTIVES = {
    "swav": {"num_prototypes": 6, "queue_size": 8},
    "deepclusterv2": {"num_prototypes": [3, 5]},
    "dino": {"num_prototypes": 6},
}
EACH = pytest.mark.parametrize("name", OBJECTIVES)


def objective_of(name, **settings):
    kind = objectives.get(name)
    made = kind.Settings(hidden_dim=8, output_dim=DIM, **{**OBJECTIVES[name], **settings})
    return kind(made, Conv3Narrow(8, Options()), 10)


def built(objective, depth=2, **settings):
    return PrototypeAssignment(PrototypesSettings(hidden_dim=6, depth=depth, **settings), DIM, objective)


def drawn(views=2, rows=6, dim=DIM, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, dim, generator=draw) for _ in range(views)]


# Loss


def test_predictions_that_say_nothing_cost_the_logarithm_of_the_number_of_prototypes():
    nothing = [torch.zeros(6, 4)] * 2
    assert prototypes_distillation_loss(nothing, drawn(), [4], 0.1, 0.1).item() == pytest.approx(math.log(4))


def test_predicting_the_teachers_assignment_costs_its_entropy():
    scores = [view.double() for view in drawn()]
    entropy = [torch.distributions.Categorical(logits=view / 0.2).entropy().mean() for view in scores]
    loss = prototypes_distillation_loss(scores, scores, [DIM], 0.2, 0.2)
    torch.testing.assert_close(loss, torch.stack(entropy).mean())


def test_a_cold_teacher_names_its_nearest_prototype():
    scores, frozen = drawn(), drawn(seed=1)
    expected = [F.cross_entropy(s / 0.3, t.argmax(dim=1)) for s, t in zip(scores, frozen, strict=True)]
    loss = prototypes_distillation_loss(scores, frozen, [DIM], 0.3, 1e-5)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_every_head_is_compared_for_itself_and_counts_alike():
    scores, frozen = drawn(dim=5), drawn(dim=5, seed=1)
    heads = [
        prototypes_distillation_loss([s[:, part] for s in scores], [t[:, part] for t in frozen], [size], 0.1, 0.2)
        for part, size in ((slice(0, 2), 2), (slice(2, 5), 3))
    ]
    torch.testing.assert_close(prototypes_distillation_loss(scores, frozen, [2, 3], 0.1, 0.2), sum(heads) / 2)


# Form


@EACH
def test_the_gradient_reaches_projections_predictor_and_own_prototypes_and_nothing_of_the_teacher(name):
    teacher = objective_of(name).requires_grad_(False)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    distillation, z = built(objective_of(name)), [view.requires_grad_() for view in drawn()]
    distillation.loss(z, drawn(seed=1), teacher).backward()
    assert all(view.grad.abs().max() > 0 for view in z)
    assert all(parameter.grad is not None for parameter in distillation.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


@EACH
def test_own_prototypes_are_as_many_as_the_objectives_and_of_their_own_values(name):
    objective = objective_of(name)
    distillation = built(objective)
    assert len(distillation.prototypes.matrix()) == sum(objective.prototype_sizes)
    owned = {id(p) for p in objective.parameters()}
    assert not owned & {id(p) for p in distillation.parameters()}
    trained = [p for group in distillation.groups(1.0) for p in group.parameters]
    assert any(p is distillation.prototypes.direction for p in trained)


@pytest.mark.parametrize("kind", ["normalized", "free"])
def test_own_prototypes_are_free_where_the_objectives_are(kind):
    distillation = built(objective_of("swav", prototypes=kind))
    assert (distillation.prototypes.gain is not None) == (kind == "free")


@EACH
def test_the_target_is_the_teachers_assignment_of_its_own_projection(name):
    teacher, distillation, p, frozen = objective_of(name), built(objective_of(name), 0), drawn(), drawn(seed=1)
    if name == "dino":
        teacher.center.copy_(torch.arange(6) / 10)
    scores = [F.normalize(view, dim=1) @ distillation.prototypes.matrix().T for view in p]
    targets = [teacher.prototype_scores(view) for view in frozen]
    expected = prototypes_distillation_loss(scores, targets, teacher.prototype_sizes, 0.1, 0.1)
    torch.testing.assert_close(distillation.loss(p, frozen, teacher), expected)


def test_the_scale_of_projections_does_not_matter():
    teacher, distillation, p, frozen = objective_of("swav"), built(objective_of("swav"), 0), drawn(), drawn(seed=1)
    expected = distillation.loss(p, frozen, teacher)
    scaled = distillation.loss([3 * view for view in p], [view / 2 for view in frozen], teacher)
    torch.testing.assert_close(scaled, expected)


@pytest.mark.parametrize(("given", "used"), [(None, 0.3), (0.05, 0.05)])
def test_the_teacher_has_the_temperature_of_the_prediction_unless_it_is_given_one(given, used):
    teacher, p, frozen = objective_of("swav"), drawn(), drawn(seed=1)
    distillation = built(teacher, 0, temperature=0.3, teacher_temperature=given)
    scores = [distillation.prototypes(F.normalize(view, dim=1)) for view in p]
    targets = [teacher.prototype_scores(view) for view in frozen]
    expected = prototypes_distillation_loss(scores, targets, [6], 0.3, used)
    torch.testing.assert_close(distillation.loss(p, frozen, teacher), expected)


@EACH
def test_it_is_what_cassle_takes_for_objectives_with_prototypes(name):
    assert Cassle.resolve({}, objectives.get(name))["distillation"]["name"] == "prototypes"


def test_an_objective_without_prototypes_is_refused_by_name():
    with pytest.raises(SettingsError, match="'prototypes' does not fit SimCLR: it has no prototypes"):
        Cassle.resolve({"distillation": {"name": "prototypes"}}, SimCLR)


@EACH
def test_a_checkpoint_carries_predictor_and_own_prototypes_strictly(name):
    teacher = objective_of(name)
    one, other = built(teacher).eval(), built(teacher).eval()
    other.load_state_dict(one.state_dict(), strict=True)
    assert "prototypes.direction" in one.state_dict()
    z, frozen = drawn(), drawn(seed=1)
    assert torch.equal(one.loss(z, frozen, teacher), other.loss(z, frozen, teacher))
