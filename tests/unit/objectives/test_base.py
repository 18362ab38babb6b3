"""What an objective does unless it says otherwise, and what every registered one promises."""

import pytest
import torch
from torch import nn

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import Group, Moment, Objective, TaskStart, objectives


class Plain(Objective):
    """A projector and nothing else."""

    def __init__(self, backbone):
        super().__init__(Options(), backbone, 10)
        self.projector = nn.Linear(backbone.feature_dim, 4)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


@pytest.fixture
def plain(backbone):
    return Plain(backbone)


def test_each_view_passes_the_network_once_in_its_order(backbone, plain):
    passes = []
    backbone.blocks[0].register_forward_hook(lambda module, args, output: passes.append(args[0]))
    views = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    outputs = plain(backbone, views)
    assert all(seen is view for seen, view in zip(passes, views, strict=True))
    assert [tuple(features.shape) for features in outputs.features] == [(4, 32)] * 3
    for features, z in zip(outputs.features, outputs.z, strict=True):
        assert torch.equal(z, plain.projector(features))
    assert outputs.p == outputs.targets == []


@pytest.mark.parametrize("asked", [True, False])
def test_stage_maps_are_kept_only_when_asked_for(backbone, plain, asked):
    outputs = plain(backbone, [torch.randn(4, 3, 8, 8)] * 2, maps=asked)
    assert [len(maps) for maps in outputs.maps] == ([3, 3] if asked else [])


def test_the_backbone_is_no_part_of_an_objective(plain):
    assert set(plain.state_dict()) == {"projector.weight", "projector.bias", "frozen.weight", "frozen.bias"}


def test_what_gets_gradients_is_trained_at_the_runs_own_rate(plain):
    assert plain.groups() == [Group("objective", [plain.projector.weight, plain.projector.bias], 1.0, True)]


def test_a_distillation_sees_the_projection_itself(plain):
    z = torch.randn(3, 4)
    assert plain.distillation_input(z) is z


def no_features():
    raise AssertionError("no objective without a memory of features needs them")


def test_the_life_cycle_changes_nothing_unless_an_objective_says_so(backbone, plain):
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    moment = Moment(epoch=0, step=3, epochs=2, steps=10)
    plain.begin_task(TaskStart(1, 0, no_features))
    plain.begin_epoch(moment)
    plain.after_loss(plain(backbone, [torch.randn(4, 3, 8, 8)] * 2), None)
    plain.after_backward(moment)
    plain.after_step(backbone, moment)
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


def test_an_unknown_objective_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="there is no objective 'barlow_twin': did you mean 'barlow_twins'"):
        objectives.get("barlow_twin")


@pytest.mark.parametrize("name", objectives.names())
def test_every_setting_is_described_and_has_a_default(name):
    kind = objectives.get(name)
    kind.Settings()
    assert [key for key, field in kind.Settings.model_fields.items() if not field.description] == []
