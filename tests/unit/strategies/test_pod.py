"""POD on a network of two layers whose maps are known, and the weights of its two terms."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cassle.core.options import Options
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.base import Backbone
from cassle.objectives.simclr import SimCLR, SimCLRSettings
from cassle.strategies.context import Step
from cassle.strategies.less_forget import less_forget_loss
from cassle.strategies.pod import POD, PODSettings, pod_spatial_loss, pooled


class TwoLayers(Backbone):
    """First layer: one chosen channel of the image. Second layer: twice the first, where ``doubles``."""

    def __init__(self, channel):
        super().__init__(2, Options())
        self.feature_dim = 1
        self.first = nn.Conv2d(3, 1, 1, bias=False)
        self.second = nn.Conv2d(1, 1, 1, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3)[channel].view(1, 3, 1, 1))
            self.second.weight.fill_(2.0)

    def stages(self, images):
        maps = [self.first(images)]
        maps.append(self.second(maps[0]))
        return maps, maps[1].mean(dim=(2, 3))


@pytest.fixture
def step(batch):
    """A step whose student looks at channel 0 and whose teacher looks at channel 1."""
    corner, opposite, row = torch.zeros(3, 2, 2)
    corner[0, 0], opposite[1, 1], row[0] = 1.0, 1.0, 1.0
    view = torch.stack([torch.stack([corner, opposite, corner]), torch.stack([corner, row, corner])])
    model, old = (Model(backbone := TwoLayers(c), SimCLR(SimCLRSettings(), backbone, 2), 2) for c in (0, 1))
    return Step(batch, [view, view], model, model([view, view], maps=True), Teacher(copy.deepcopy(old)))


def test_a_map_is_pooled_over_rows_and_over_columns():
    maps = torch.tensor([[[[1.0, 2.0], [0.0, 2.0]]]])
    # squares 1 4 / 0 4: rows sum to 5 and 4, columns to 1 and 8
    expected = torch.tensor([[5.0, 4.0, 1.0, 8.0]]) / math.sqrt(25 + 16 + 1 + 64)
    torch.testing.assert_close(pooled(maps), expected)
    assert torch.allclose(pooled(-3 * maps), expected)


def test_the_distance_of_two_layers_by_hand(step):
    # image 1: (1, 0, 1, 0) against (0, 1, 0, 1), each over sqrt 2: distance sqrt 2. image 2: (1, 0, 1, 0) / sqrt 2
    # against a lit row, (2, 0, 1, 1) / sqrt 6: cosine 3 / sqrt 12. Both layers are alike, for scale does not count.
    distances = math.sqrt(2), math.sqrt(2 - 2 * 3 / math.sqrt(12))
    loss = pod_spatial_loss(step.outputs.maps, step.teacher_outputs.maps)
    assert loss.item() == pytest.approx(sum(distances) / 2, rel=1e-6)
    assert pod_spatial_loss(step.outputs.maps, step.outputs.maps).item() == 0


def pod(step, **given):
    return POD(PODSettings(**given), step.model)


@pytest.mark.parametrize(("adaptive", "task", "growth"), [(True, 3, 2.0), (True, 8, 3.0), (False, 8, 1.0)])
def test_both_terms_are_weighted_and_grow_with_the_root_of_the_tasks_seen(step, adaptive, task, growth):
    step = replace(step, batch=replace(step.batch, task=task))
    spatial = pod_spatial_loss(step.outputs.maps, step.teacher_outputs.maps)
    flat = less_forget_loss(step.outputs.features, step.teacher_outputs.features)
    strategy = pod(step, spatial_weight=5.0, flat_weight=7.0, adaptive=adaptive)
    torch.testing.assert_close(strategy.penalty(step), growth * (5.0 * spatial + 7.0 * flat))


def test_stages_can_be_chosen(step):
    one = [[view[1]] for view in step.outputs.maps], [[view[1]] for view in step.teacher_outputs.maps]
    strategy = pod(step, spatial_weight=1.0, flat_weight=0.0, stages=[1], adaptive=False)
    torch.testing.assert_close(strategy.penalty(step), pod_spatial_loss(*one))


def test_equal_maps_have_a_gradient_of_zero():
    maps = torch.rand(2, 3, 4, 4, requires_grad=True)
    pod_spatial_loss([[maps]], [[maps.detach().clone()]]).backward()
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_it_asks_for_maps_and_does_nothing_in_the_first_task(step):
    assert POD.uses_maps
    assert pod(step).penalty(replace(step, teacher=None)) is None


def test_maps_of_the_teacher_are_kept_only_where_those_of_the_student_are(step):
    without = replace(step, outputs=replace(step.outputs, maps=[]))
    assert without.teacher_outputs.maps == []
    assert [len(maps) for maps in step.teacher_outputs.maps] == [2, 2]
