"""What every form of distillation has: a predictor of a chosen depth, a frozen side, groups, a weight."""

import pytest
import torch
from torch import nn

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.distillations.base import Distillation, DistillationSettings, distillations
from cassle.distillations.contrastive import Contrastive
from cassle.distillations.decorrelative import Decorrelative
from cassle.distillations.mse import MeanSquaredError
from cassle.distillations.predictive import Predictive
from cassle.objectives.simclr import SimCLR

FORMS = pytest.mark.parametrize("kind", [Contrastive, Decorrelative, MeanSquaredError, Predictive])


def built(kind, depth=2, dim=4, **settings):
    return kind(kind.Settings(hidden_dim=6, depth=depth, **settings), dim, None)


def drawn(views=2, rows=6, dim=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, dim, generator=draw) for _ in range(views)]


class Recorded(Distillation):
    """Keeps what it is asked to compare."""

    def compare(self, p, frozen, teacher):
        self.seen = (p, frozen, teacher)
        return torch.stack(p).sum()


@pytest.mark.parametrize(
    ("depth", "layers"),
    [(1, ["Linear"]), (2, ["Linear", "BatchNorm1d", "ReLU", "Linear"])],
)
def test_a_predictor_of_some_depth_ends_in_the_size_it_began_with(depth, layers):
    predictor = built(Recorded, depth).predictor
    assert [type(layer).__name__ for layer in predictor] == layers
    linear = [layer for layer in predictor if isinstance(layer, nn.Linear)]
    assert (linear[0].in_features, linear[-1].out_features) == (4, 4)
    assert [layer.out_features for layer in linear[:-1]] == [6] * (depth - 1)


def test_a_predictor_of_depth_0_hands_on_the_projection_itself():
    distillation, z = built(Recorded, 0), drawn()
    distillation.loss(z, drawn(seed=1), None)
    assert all(torch.equal(p, view) for p, view in zip(distillation.seen[0], z, strict=True))
    assert list(distillation.parameters()) == []
    assert [group.parameters for group in distillation.groups(1.0)] == [[]]


def test_the_predictor_sees_each_view_alone_and_the_frozen_side_stays_as_it_is():
    distillation, z, frozen, teacher = built(Recorded), drawn(3), drawn(3, seed=1), object()
    distillation.loss(z, frozen, teacher)
    p, seen, reported = distillation.seen
    assert all(torch.equal(one, other) for one, other in zip(seen, frozen, strict=True))
    assert reported is teacher
    for prediction, view in zip(p, z, strict=True):
        torch.testing.assert_close(prediction, distillation.predictor(view))  # BatchNorm: statistics of one view


@FORMS
@pytest.mark.parametrize("depth", [0, 2])
def test_the_gradient_reaches_the_projections_and_the_predictor(kind, depth):
    distillation, z = built(kind, depth), [view.requires_grad_() for view in drawn()]
    frozen = drawn(seed=1)
    loss = distillation.loss(z, frozen, None)
    assert loss.shape == ()
    loss.backward()
    assert all(view.grad.abs().max() > 0 for view in z)
    assert all(parameter.grad is not None for parameter in distillation.parameters())
    assert all(view.grad is None for view in frozen)


@FORMS
def test_the_same_views_in_another_order_of_images_give_the_same_loss(kind):
    distillation, order = built(kind), torch.tensor([3, 0, 5, 1, 4, 2])
    z, frozen = drawn(), drawn(seed=1)
    expected = distillation.loss(z, frozen, None)
    torch.testing.assert_close(distillation.loss([v[order] for v in z], [v[order] for v in frozen], None), expected)
    torch.testing.assert_close(distillation.loss(z[::-1], frozen[::-1], None), expected)


@FORMS
def test_a_view_is_compared_with_the_same_view_of_the_teacher(kind):
    distillation, z = built(kind, depth=0), drawn()
    own, crossed = (distillation.loss(z, frozen, None) for frozen in (z, z[::-1]))
    assert own < crossed


@FORMS
def test_a_checkpoint_carries_the_predictor_strictly(kind):
    one, other, z = built(kind).eval(), built(kind).eval(), drawn()
    other.load_state_dict(one.state_dict(), strict=True)
    assert torch.equal(one.loss(z, drawn(seed=1), None), other.loss(z, drawn(seed=1), None))


@pytest.mark.parametrize("weight", [0.5, 1.0, 25.0])
def test_the_predictor_learns_at_the_runs_own_rate(weight):
    distillation = built(Recorded)
    (group,) = distillation.groups(weight)
    assert {id(p) for p in group.parameters} == {id(p) for p in distillation.parameters()}
    assert (group.name, group.lr_scale, group.scheduled) == ("distillation", 1.0, True)


@pytest.mark.parametrize("name", distillations.names())
def test_every_setting_is_described_and_has_a_default(name):
    kind = distillations.get(name)
    assert isinstance(kind.Settings(), DistillationSettings)
    assert [key for key, field in kind.Settings.model_fields.items() if not field.description] == []


@FORMS
def test_the_forms_of_projections_alone_fit_any_objective(kind):
    assert kind.incompatibility(SimCLR) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hiden_dim": 8}, "did you mean 'hidden_dim'"), ({"depth": -1}, "'depth' = -1"), ({"hidden_dim": 0}, "= 0")],
)
def test_an_unknown_or_impossible_setting_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        parse(DistillationSettings, settings, "distillation")
