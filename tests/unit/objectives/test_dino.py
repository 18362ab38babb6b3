"""DINO: the loss in closed form, sharpened and centered targets, schedules, heads and center."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Moment
from cassle.objectives.dino import DINO, DINOSettings, dino_loss, target_temperature
from cassle.tensors.outputs import Outputs

DIM, COUNT = 4, 6


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def make(backbone):
    """Function from settings to an objective of small sizes."""

    def make(**settings):
        sizes = {"hidden_dim": 8, "output_dim": DIM, "num_prototypes": COUNT, "base_tau": 0.9}
        return DINO(DINOSettings(**{**sizes, **settings}), backbone, 10)

    return make


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def epoch(number):
    return Moment(epoch=number, step=10 * number, epochs=5, steps=50)


def outputs_of(n=5, seed=0, views=2):
    p = [drawn(n, COUNT, seed=10 * seed + view, dtype=torch.float32).requires_grad_() for view in range(views)]
    return Outputs([], [], p, [drawn(n, COUNT, seed=10 * seed + 5 + view, dtype=torch.float32) for view in range(2)])


def images(n=5):
    return list(drawn(2, n, 3, 8, 8, dtype=torch.float32))


# Loss


def test_scores_that_say_nothing_cost_the_logarithm_of_the_number_of_outputs():
    targets, nothing = list(drawn(2, 3, 4)), [torch.zeros(3, 4).double()] * 2
    assert dino_loss(nothing, targets, torch.zeros(4), 0.1, 0.05).item() == pytest.approx(math.log(4))


def test_identical_views_whose_target_is_sharp():
    scores = torch.eye(4, dtype=torch.float64)
    loss = dino_loss([scores] * 2, [scores] * 2, torch.zeros(4), temperature=0.5, target_temperature=0.01).item()
    assert loss == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.5)))


def test_the_loss_is_the_mean_over_pairs_of_a_target_view_and_another_view():
    scores, targets, center = list(drawn(3, 5, 4)), list(drawn(2, 5, 4, seed=1)), drawn(4, seed=2)
    expected = [
        -(((targets[i] - center) / 0.05).softmax(dim=1) * (scores[j] / 0.2).log_softmax(dim=1)).sum(dim=1).mean()
        for i, j in [(0, 1), (0, 2), (1, 0), (1, 2)]
    ]
    torch.testing.assert_close(dino_loss(scores, targets, center, 0.2, 0.05), torch.stack(expected).mean())


def test_what_targets_have_in_common_with_the_center_does_not_count():
    scores, targets, shift = list(drawn(2, 5, 4)), list(drawn(2, 5, 4, seed=1)), drawn(4, seed=2)
    expected = dino_loss(scores, targets, torch.zeros(4), 0.1, 0.05)
    torch.testing.assert_close(dino_loss(scores, [t + shift for t in targets], shift, 0.1, 0.05), expected)


def test_the_order_of_images_does_not_matter_but_their_pairing_does():
    scores, targets, order = list(drawn(2, 5, 4)), list(drawn(2, 5, 4, seed=1)), torch.tensor([3, 0, 4, 1, 2])
    center = torch.zeros(4)
    expected = dino_loss(scores, targets, center, 0.1, 0.05)
    moved = [s[order] for s in scores]
    torch.testing.assert_close(dino_loss(moved, [t[order] for t in targets], center, 0.1, 0.05), expected)
    assert not torch.isclose(dino_loss(moved, targets, center, 0.1, 0.05), expected)


def test_no_gradient_reaches_the_targets():
    scores, targets = drawn(2, 5, 4).requires_grad_(), drawn(2, 5, 4, seed=1).requires_grad_()
    dino_loss(list(scores), list(targets), torch.zeros(4), 0.1, 0.05).backward()
    assert scores.grad.any()
    assert targets.grad is None


# Schedules


@pytest.mark.parametrize(("warmup", "expected"), [(0, [0.07] * 3), (1, [0.04, 0.07, 0.07]), (2, [0.04, 0.07, 0.07])])
def test_a_short_warm_up_starts_low_and_ends_at_the_final_temperature(warmup, expected):
    assert [target_temperature(0.04, 0.07, warmup, epoch) for epoch in range(3)] == pytest.approx(expected)


def test_the_targets_of_an_epoch_are_sharpened_with_its_temperature(make):
    objective = make(target_temperature=0.08, warmup_target_temperature=0.02, warmup_target_temperature_epochs=4)
    outputs = outputs_of()
    for number, temperature in enumerate([0.02, 0.04, 0.06, 0.08, 0.08]):
        objective.begin_epoch(epoch(number))
        expected = dino_loss(outputs.p, outputs.targets, objective.center, 0.1, temperature)
        torch.testing.assert_close(objective.loss(outputs, None), expected)


@pytest.mark.parametrize(("number", "frozen"), [(0, True), (1, True), (2, False), (4, False)])
def test_the_last_layer_gets_no_gradient_in_the_first_epochs_of_a_task(make, backbone, number, frozen):
    objective = make(freeze_last_layer_epochs=2)
    objective.loss(objective(backbone, images()), None).backward()
    objective.after_backward(epoch(number))
    assert all((p.grad is None) == frozen for p in objective.prototypes.parameters())
    assert all(p.grad is not None for p in objective.projector.parameters())


# Heads and center


@pytest.mark.parametrize("batchnorm", [True, False])
def test_the_projector_has_two_hidden_layers(make, batchnorm):
    block = ["Linear", "BatchNorm1d", "GELU"] if batchnorm else ["Linear", "GELU"]
    projector = make(batchnorm=batchnorm).projector
    assert [type(layer).__name__ for layer in projector] == [*block, *block, "Linear"]


def test_scores_are_cosines_and_the_momentum_network_starts_with_the_same(make, backbone):
    objective = make()
    outputs = objective(backbone, images())
    for z, p, target in zip(outputs.z, outputs.p, outputs.targets, strict=True):
        torch.testing.assert_close(p, F.normalize(z, dim=1) @ F.normalize(objective.prototypes.direction, dim=1).T)
        assert torch.equal(p, target)
        assert not target.requires_grad


def test_the_momentum_network_sees_the_first_two_of_many_views(make, backbone):
    outputs = make()(backbone, list(drawn(4, 5, 3, 8, 8, dtype=torch.float32)))
    assert (len(outputs.p), len(outputs.targets)) == (4, 2)
    assert all(torch.equal(p, target) for p, target in zip(outputs.p, outputs.targets, strict=False))


def test_the_center_is_a_running_mean_of_the_targets_of_both_views(make):
    objective = make(center_momentum=0.75)
    expected = torch.zeros(COUNT)
    for seed in range(3):
        outputs = outputs_of(seed=seed)
        objective.after_loss(outputs, None)
        expected = 0.75 * expected + 0.25 * torch.cat(outputs.targets).mean(dim=0)
    torch.testing.assert_close(objective.center, expected)


def test_a_teachers_scores_are_centered(make):
    objective, z = make(), drawn(5, DIM, dtype=torch.float32)
    objective.center.copy_(drawn(COUNT, seed=1))
    torch.testing.assert_close(
        objective.prototype_scores(z), objective.prototypes(F.normalize(z, dim=1)) - objective.center
    )
