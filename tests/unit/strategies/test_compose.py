"""Joined strategies: hooks in order, one teacher, one room with prefixes, settings per part."""

import re

import pytest
import torch

from cassle.core.errors import CheckpointError, SettingsError
from cassle.core.options import Options
from cassle.core.random import generator
from cassle.objectives.byol import BYOL
from cassle.objectives.simclr import SimCLR
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.strategies.base import Strategy, TeacherSettings
from cassle.strategies.compose import Composite, build_parts, parts_of, recipe_settings, resolve_strategy
from tests.unit.strategies.world import planned, trained


class Recorder(Strategy):
    """A strategy that tells what it is called with."""

    keeps_memory = True

    def __init__(self, said, name, penalty, keeps=True):
        super().__init__(Options(), None)
        self.said, self.name, self.value, self.keeps_memory = said, name, penalty, keeps
        self.weight = torch.nn.Parameter(torch.tensor(penalty))

    def mix_views(self, views, batch):
        self.said.append(f"{self.name} blends {views[0]:.0f}")
        return [view + 1 for view in views], batch

    def penalty(self, step):
        self.said.append(f"{self.name} adds")
        return torch.tensor(self.value)

    def build_memory(self, end, held):
        return {"count": held.get("count", torch.tensor(0)) + int(self.value)}

    def load_memory(self, memory):
        self.said.append(f"{self.name} recalls {memory['count']}")


@pytest.fixture
def said():
    return []


def joined(said, **keeps):
    return Composite({"one": Recorder(said, "one", 1.0), "two": Recorder(said, "two", 2.0, **keeps)}, None)


def test_hooks_run_in_the_order_of_the_names(said):
    both = joined(said)
    views, _ = both.mix_views([torch.tensor(5.0)], None)
    assert views[0] == 7
    assert both.penalty(None) == 3
    assert said == ["one blends 5", "two blends 6", "one adds", "two adds"]


def test_each_part_has_its_own_memory(said):
    both = joined(said)
    memory = both.build_memory(None, both.build_memory(None, {}))
    assert {key: value.item() for key, value in memory.items()} == {"one.count": 2, "two.count": 4}
    both.load_memory(memory)
    joined(said, keeps=False).load_memory({"one.count": torch.tensor(7)})
    assert said == ["one recalls 2", "two recalls 4", "one recalls 7"]


def test_each_part_has_its_own_room_in_a_checkpoint(said):
    both, other = joined(said), joined(said)
    assert set(both.state_dict()) == {"parts.one.weight", "parts.two.weight"}
    other.load_previous({key: value + 1 for key, value in both.state_dict().items()}, "the strategy of x")
    assert [part.weight.item() for part in other.parts.values()] == [2.0, 3.0]
    with pytest.raises(CheckpointError, match=r"the strategy of x does not fit.*unexpected \(first: parts.three"):
        both.load_previous({**both.state_dict(), "parts.three.weight": torch.tensor(0.0)}, "the strategy of x")


def test_no_penalty_is_no_penalty(model):
    assert Composite({"one": Strategy(Options(), model)}, model).penalty(None) is None


def test_facts_are_those_of_the_parts():
    plan = planned("simclr", "pod+er")
    strategy = build_parts("pod+er", next(iter(plan.memory.values())).spec.strategy.settings, model_of(plan), 0)
    facts = strategy.shares_first_task, strategy.keeps_memory, strategy.replays, strategy.uses_maps
    assert facts == (True, True, True, True)
    assert strategy.teacher_batchnorm == "frozen"
    strategy.load_memory({"er.positions": torch.arange(3), "er.tasks": torch.zeros(3), "er.keys": torch.zeros(3)})
    assert sorted(strategy.replay(8, generator(0)).tolist()) == [0, 1, 2]


def model_of(plan):
    from cassle.training.build import build_model

    return build_model(next(iter(plan.train.values())).spec, 16, 10)


def test_parts_of_one_shape_do_not_start_with_the_same_weights():
    form = {"space": "features", "distillation": {"name": "mse", "hidden_dim": 8}}
    settings = resolve_strategy("cassle+pfr", {"cassle": form, "pfr": {"hidden_dim": 8}}, SimCLR)
    parts = build_parts("cassle+pfr", settings, model_of(planned("simclr", "cassle")), 0).parts
    one, other = (next(part.parameters()) for part in parts.values())
    assert one.shape == other.shape
    assert not torch.equal(one, other)


def test_a_part_starts_with_the_weights_that_it_has_alone():
    plan = planned("simclr", "cassle+er")
    model = model_of(plan)
    settings = resolve_strategy("cassle+er", {}, SimCLR)
    together = build_parts("cassle+er", settings, model, 3).state_dict()
    alone = build_parts("cassle", settings["cassle"], model, 3).state_dict()
    assert {key.removeprefix("parts.cassle."): value.shape for key, value in together.items()} == {
        key: value.shape for key, value in alone.items()
    }
    assert all(torch.equal(together[f"parts.cassle.{key}"], value) for key, value in alone.items())


def test_the_term_of_cassle_covers_replayed_rows_and_the_teacher_runs_once():
    done = trained("simclr", {"name": "cassle+er", "er": {"buffer_size": 10}})
    cassle = done.strategy.parts["cassle"]
    for step, losses in zip(done.steps, done.losses, strict=True):
        assert len(step.teacher_outputs.z[0]) == len(step.outputs.z[0]) == 16
        assert losses.penalty > 0
    step = done.steps[-1]
    frozen = [view[:8] for view in step.teacher_outputs.z]
    own = cassle.distillation.loss([view[:8] for view in step.outputs.z], frozen, step.teacher.objective)
    assert not torch.isclose(cassle.penalty(step), own)


def test_the_teacher_runs_once_for_all_parts(monkeypatch):
    from cassle.models.teacher import Teacher

    passes, forward = [], Teacher.forward
    monkeypatch.setattr(Teacher, "forward", lambda self, views: passes.append(1) or forward(self, views))
    steps = trained("simclr", "cassle+pod+less_forget").steps
    assert len(passes) == len(steps) == 2


def test_settings_go_to_parts_and_mark_the_folder():
    study = {"streams": ["digits-domain2"], "objectives": ["simclr"]}
    choice = {"name": "cassle+er", "er": {"buffer_size": 200}, "cassle": {"weight": 2}}
    plan = resolve(read_study({**study, "strategies": ["cassle+er", choice]}))
    assert plan.summary().strategies == ["cassle+er", "cassle+er~cassle.weight=2.0~er.buffer_size=200"]
    spec = next(job.spec for folder, job in plan.train.items() if "buffer_size=200" in folder).strategy
    assert spec.settings["er"]["buffer_size"] == 200
    assert spec.settings["cassle"]["distillation"]["hidden_dim"] == 128  # as the recipe has it for cassle alone


def test_a_recipe_speaks_of_parts_and_of_the_whole():
    recipe = {"cassle": {"weight": 2.0}, "cassle+er": {"er": {"buffer_size": 9}}}
    assert recipe_settings("cassle+er", recipe) == {"cassle": {"weight": 2.0}, "er": {"buffer_size": 9}}
    assert recipe_settings("cassle", recipe) == {"weight": 2.0}
    assert recipe_settings("pnr", recipe) == {"weight": 2.0}
    assert recipe_settings("er", recipe) == {}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cassle+err", {}, "there is no strategy 'err': did you mean 'er'"),
        ("er+er", {}, "names a part twice"),
        ("er+lump", {}, r"er and lump both replay; join at most one"),
        ("cassle+er", {"buffer_size": 9}, "unknown key 'buffer_size'.*settings go to a part"),
        ("cassle+er", {"err": {}}, "unknown key 'err': did you mean 'er'"),
        ("cassle+er", {"er": 9}, "'er' = 9 must be a mapping"),
        ("cassle+er", {"er": {"buffer_sise": 9}}, "did you mean 'buffer_size'"),
        ("cassle+pod", {"pod": {"teacher_batchnorm": "batch"}}, "give its parts the same teacher_batchnorm"),
        ("cassle+pod", {"cassle": {"teacher": "momentum"}}, "not every part learns from a momentum network"),
        ("cassle+pnr", {}, "pnr is cassle and more; leave cassle out"),
        ("er+finetune", {}, "finetune adds nothing to another strategy"),
    ],
)
def test_what_cannot_be_joined_is_refused(name, given, message):
    with pytest.raises(SettingsError, match=message):
        resolve_strategy(name, given, BYOL)


def test_a_teacher_that_parts_do_not_agree_on_is_refused_when_a_plugin_hid_it(model):
    class Hidden(Strategy):
        teacher_batchnorm, teacher_network = "batch", "momentum"

    with_teacher = build_parts("less_forget", TeacherSettings().model_dump(), model, 0)
    both = Composite({"mine": Hidden(Options(), model), "less_forget": with_teacher}, model)
    reported = r"share one teacher, but ask for more than one teacher_batchnorm: batch \(mine\), frozen \(less_forget\)"
    assert re.search(reported, both.incompatibility(model, None))
    with pytest.raises(SettingsError, match="more than one teacher_network"):
        _ = both.teacher_network


def test_one_name_is_its_own_single_part():
    assert list(parts_of("er")) == ["er"]
    assert resolve_strategy("er", {}, SimCLR)["buffer_size"] == 500
