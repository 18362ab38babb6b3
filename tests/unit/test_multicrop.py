"""Views of two sizes through backbones, losses and distillation."""

import copy

import pytest
import torch

from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.strategies.base import strategies
from cassle.tensors.batch import Batch
from cassle.training.step import training_step

SMALL = {
    "simclr": {"hidden_dim": 16, "output_dim": 8},
    "swav": {"hidden_dim": 16, "output_dim": 8, "num_prototypes": 12, "queue_size": 8},
    "dino": {"hidden_dim": 16, "output_dim": 8, "num_prototypes": 12, "freeze_last_layer_epochs": 0},
}
SIDES = (16, 12)


def world(objective: str):
    """A model with CaSSLe, and the teacher it had two views of one size from."""
    torch.manual_seed(0)
    net, kind = backbones.get("conv3-narrow"), objectives.get(objective)
    body = net(SIDES[0], net.Settings())
    model = Model(body, kind(kind.Settings(**SMALL[objective]), body, 5), 5)
    cassle = strategies.get("cassle")
    settings = cassle.Settings(**cassle.resolve({"distillation": {"hidden_dim": 16}}, kind))
    return model, cassle(settings, model), Teacher(copy.deepcopy(model))


def batch(count: int = 4) -> Batch:
    images = torch.zeros(count, 3, 2, 2, dtype=torch.uint8)
    draws = torch.Generator().manual_seed(0)
    return Batch(torch.arange(count), images, torch.arange(count), 1, torch.zeros(count, dtype=torch.bool), draws)


def crops(seed: int = 1) -> list[torch.Tensor]:
    large, small = SIDES
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 3, side, side, generator=draws) for side in [large] * 2 + [small] * 6]


@pytest.mark.parametrize("objective", SMALL)
def test_a_step_on_crops_of_two_sizes_is_finite_and_teaches_every_weight(objective):
    model, strategy, teacher = world(objective)
    losses, step = training_step(batch(), lambda _: crops(), model, strategy, teacher)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert [len(part) for part in (step.outputs.z, step.teacher_outputs.z, step.student_outputs.z)] == [8, 2, 2]
    trained = [*model.backbone.named_parameters(), *strategy.named_parameters()]
    assert [name for name, weight in trained if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize("objective", SMALL)
def test_small_crops_enter_the_objective_but_not_the_distillation(objective):
    def losses_with(small_seed):
        model, strategy, teacher = world(objective)
        views = crops()[:2] + crops(small_seed)[2:]
        return training_step(batch(), lambda _: views, model, strategy, teacher)[0]

    one, other = losses_with(1), losses_with(2)
    assert one.penalty == other.penalty
    assert one.objective != other.objective


def test_views_of_one_size_are_all_compared():
    model, strategy, teacher = world("simclr")
    views = crops()[:2] * 2
    _, step = training_step(batch(), lambda _: views, model, strategy, teacher)
    assert step.compared == [0, 1, 2, 3]
    assert step.student_outputs.z == step.outputs.z


@pytest.mark.parametrize(("name", "sides"), [("conv3", (16, 12)), ("resnet18", (32, 24)), ("resnet18", (224, 96))])
@torch.no_grad()
def test_a_backbone_takes_crops_of_both_sizes(name, sides):
    kind = backbones.get(name)
    backbone = kind(sides[0], kind.Settings()).eval()
    for side in sides:
        assert backbone(torch.zeros(1, 3, side, side)).shape == (1, backbone.feature_dim)
