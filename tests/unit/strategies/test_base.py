"""What a strategy does unless it says otherwise."""

import pytest
import torch
from pydantic import Field

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.objectives.simclr import SimCLR
from cassle.strategies.base import Strategy, strategies


class Weighted(Strategy):
    class Settings(Options):
        weight: float = Field(2.0, ge=0, description="how much it counts")


def test_the_base_does_nothing_to_batch_views_and_loss(model, batch, step_of):
    strategy = Strategy(Options(), model)
    step = step_of(model)
    assert strategy.replay(6, torch.Generator()) is None
    views, same = strategy.mix_views(step.views, batch)
    assert views is step.views
    assert same is batch
    assert strategy.penalty(step) is None


def test_the_base_asks_for_nothing(model):
    strategy = Strategy(Options(), model)
    assert strategy.groups() == []
    assert (strategy.teacher_batchnorm, strategy.teacher_network) == (None, "online")
    assert strategy.shares_first_task
    assert [strategy.keeps_memory, strategy.replays, strategy.uses_maps] == [False] * 3
    assert strategy.state_dict() == {}
    assert Strategy.dependencies({}) == []


@pytest.mark.parametrize(("given", "expected"), [({}, 2.0), ({"weight": 3}, 3.0)])
def test_settings_are_completed(given, expected):
    assert Weighted.resolve(given, SimCLR) == {"weight": expected}


@pytest.mark.parametrize(
    ("given", "message"), [({"wieght": 1}, "did you mean 'weight'"), ({"weight": -1}, "'weight' = -1")]
)
def test_an_unknown_or_impossible_setting_is_refused(given, message):
    with pytest.raises(SettingsError, match=f"strategy Weighted: .*{message}"):
        Weighted.resolve(given, SimCLR)


def test_an_unknown_strategy_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="there is no strategy 'finetuning': did you mean 'finetune'"):
        strategies.get("finetuning")


@pytest.mark.parametrize("name", strategies.names())
def test_every_setting_is_described(name):
    kind = strategies.get(name)
    assert [key for key, field in kind.Settings.model_fields.items() if not field.description] == []


def test_the_teacher_runs_once_per_step_however_often_it_is_asked(model, step_of, teacher_of):
    teacher, passes = teacher_of(model), []
    teacher.register_forward_hook(lambda module, args, output: passes.append(output))
    step = step_of(model, teacher)
    assert step.teacher_outputs is step.teacher_outputs
    assert len(passes) == 1
    assert not any(z.requires_grad for z in step.teacher_outputs.z)
    assert not torch.equal(step.teacher_outputs.z[0], step.outputs.z[0])
