"""CaSSLe: weight times distillation, the objective's own form and the paper's weight, and what is refused."""

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.distillations.base import distillations
from cassle.distillations.contrastive import Contrastive
from cassle.distillations.predictive import Predictive
from cassle.objectives.base import objectives
from cassle.objectives.byol import BYOL, BYOLSettings
from cassle.objectives.simclr import SimCLR, SimCLRSettings
from cassle.strategies.cassle import Cassle, CassleSettings
from cassle.training.step import training_step


def built(model, **given):
    """The strategy of a model without a predictor, unless settings say otherwise."""
    form = {"depth": 0, **given.pop("distillation", {})}
    return Cassle(CassleSettings(**Cassle.resolve({"distillation": form, **given}, type(model.objective))), model)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 25.0])
@pytest.mark.parametrize("form", ["contrastive", "decorrelative", "predictive", "mse"])
def test_the_penalty_is_weight_times_distillation(model, step_of, teacher_of, weight, form):
    strategy = built(model, weight=weight, distillation={"name": form})
    step = step_of(model, teacher_of(model))
    distillation = strategy.distillation.loss(step.outputs.z, step.teacher_outputs.z, step.teacher.objective)
    torch.testing.assert_close(strategy.penalty(step), weight * distillation)


def test_without_a_teacher_there_is_no_penalty(model, step_of):
    assert built(model).penalty(step_of(model)) is None


def test_a_step_adds_the_penalty_to_the_objective(model, batch, step_of, teacher_of):
    strategy, views = built(model, weight=0.5), step_of(model).views
    losses, _ = training_step(batch, lambda drawn: views, model, strategy, teacher_of(model))
    assert losses.penalty > 0
    torch.testing.assert_close(losses.total.detach(), losses.objective + losses.penalty)


def test_the_distillation_gets_the_distillation_input_of_the_objective(model, step_of, teacher_of, monkeypatch):
    strategy, step, seen = built(model), step_of(model, teacher_of(model)), []
    monkeypatch.setattr(SimCLR, "distillation_input", lambda self, z: z + 1)
    monkeypatch.setattr(Contrastive, "loss", lambda self, *given: seen.extend(given) or 1.0)
    strategy.penalty(step)
    assert all(torch.equal(view, z + 1) for view, z in zip(seen[0], step.outputs.z, strict=True))
    assert seen[1] is step.teacher_outputs.z
    assert seen[2] is step.teacher.objective
    assert seen[3] is step.scope


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (SimCLR, SimCLRSettings(hidden_dim=8, output_dim=4)),
        (BYOL, BYOLSettings(hidden_dim=8, output_dim=4, pred_hidden_dim=6)),
    ],
)
def test_the_gradient_reaches_model_and_predictor_and_never_the_teacher(kind, settings, model_of, step_of, teacher_of):
    model = model_of(kind, settings)
    teacher, strategy = teacher_of(model), built(model, distillation={"depth": 2, "hidden_dim": 8})
    step = step_of(model, teacher)
    strategy.penalty(step).backward()
    trained = [model.backbone, model.objective.projector, strategy]
    assert all(parameter.grad is not None for module in trained for parameter in module.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize(("mode", "drifts"), [("frozen", False), ("batch", True)])
def test_the_teacher_keeps_its_statistics_unless_the_batchs_are_asked_for(model, step_of, teacher_of, mode, drifts):
    strategy = built(model, teacher_batchnorm=mode)
    assert strategy.teacher_batchnorm == mode
    teacher = teacher_of(model, strategy.teacher_batchnorm)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    strategy.penalty(step_of(model, teacher))
    changed = [name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])]
    assert bool(changed) == drifts
    assert all("running" in name or "tracked" in name for name in changed)


def test_the_predictor_is_trained_and_carried_in_the_room_of_the_strategy(model):
    strategy = built(model, distillation={"depth": 2, "hidden_dim": 8})
    (group,) = strategy.groups()
    assert {id(p) for p in group.parameters} == {id(p) for p in strategy.parameters()}
    assert {name.split(".")[0] for name in strategy.state_dict()} == {"distillation"}
    other = built(model, distillation={"depth": 2, "hidden_dim": 8})
    other.load_state_dict(strategy.state_dict(), strict=True)
    z = torch.randn(4, 4)
    assert torch.equal(other.distillation.predictor(z), strategy.distillation.predictor(z))


def test_the_weight_reaches_the_forms_exception_for_the_learning_rate(model):
    (group,) = built(model, weight=0.25, distillation={"name": "predictive", "depth": 2}).groups()
    assert group.lr_scale == 4


@pytest.mark.parametrize("name", objectives.names())
def test_the_objectives_own_form_its_settings_and_the_papers_weight_are_filled_in(name):
    kind = objectives.get(name)
    form = distillations.get(kind.distillation)
    assert Cassle.resolve({}, kind) == {
        "weight": form.default_weight,
        "distillation": {"name": kind.distillation, **form.Settings().model_dump(mode="json")},
        "teacher_batchnorm": "frozen",
        "space": "projections",
        "predictor": "carried",
        "teacher": "online",
    }


@pytest.mark.parametrize(("form", "weight"), [("contrastive", 1.0), ("mse", 25.0)])
def test_the_papers_weight_is_that_of_the_form_whatever_the_objective(form, weight):
    for kind in (SimCLR, BYOL):
        resolved = Cassle.resolve({"distillation": {"name": form}}, kind)
        assert (resolved["weight"], resolved["distillation"]["name"]) == (weight, form)


@pytest.mark.parametrize("weight", [0.0, 3.5])
def test_a_weight_that_is_given_stays(weight):
    assert Cassle.resolve({"weight": weight}, SimCLR)["weight"] == weight


def test_settings_of_the_own_form_need_no_name():
    form = Cassle.resolve({"distillation": {"temperature": 0.5}}, SimCLR)["distillation"]
    assert form == {"name": "contrastive", "temperature": 0.5, "hidden_dim": 2048, "depth": 2}


def test_completed_settings_complete_to_themselves():
    once = Cassle.resolve({"weight": 2.0, "distillation": {"depth": 0}}, BYOL)
    assert Cassle.resolve(once, BYOL) == once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distillation": {"name": "contrastiv"}}, "there is no distillation 'contrastiv': did you mean 'contrastive'"),
        ({"distillation": {"temperatur": 1}}, "distillation contrastive: .*did you mean 'temperature'"),
        ({"distillation": {"name": "predictive", "temperature": 1}}, "distillation predictive: .*'temperature'"),
        ({"wieght": 1}, "strategy cassle: unknown key 'wieght': did you mean 'weight'"),
        ({"weight": -1}, "'weight' = -1"),
        ({"teacher_batchnorm": "train"}, "teacher_batchnorm"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_name(given, message):
    with pytest.raises(SettingsError, match=message):
        Cassle.resolve(given, SimCLR)


def test_a_form_that_does_not_fit_is_refused_with_its_reason(monkeypatch):
    monkeypatch.setattr(
        Predictive, "incompatibility", classmethod(lambda cls, objective: f"{objective.__name__} has no axes")
    )
    message = "distillation 'predictive' does not fit SimCLR: SimCLR has no axes"
    with pytest.raises(SettingsError, match=message):
        Cassle.resolve({"distillation": {"name": "predictive"}}, SimCLR)
    Cassle.resolve({}, SimCLR)


def test_a_run_depends_on_the_file_of_its_form():
    assert Cassle.dependencies(Cassle.resolve({}, SimCLR)) == [Contrastive]
    assert Cassle.dependencies(Cassle.resolve({"distillation": {"name": "predictive"}}, SimCLR)) == [Predictive]


def test_features_can_be_distilled_instead_of_projections(model, step_of, teacher_of):
    strategy = built(model, space="features", distillation={"name": "predictive"})
    step = step_of(model, teacher_of(model))
    expected = strategy.distillation.loss(step.outputs.features, step.teacher_outputs.features, step.teacher.objective)
    torch.testing.assert_close(strategy.penalty(step), expected)
    predictor = built(model, space="features", distillation={"depth": 2, "hidden_dim": 5}).distillation.predictor
    assert (predictor[0].in_features, predictor[-1].out_features) == (32, 32)


@pytest.mark.parametrize(("depth", "maps"), [(0, 0), (1, 1), (2, 2), (4, 4)])
def test_the_predictor_is_as_deep_and_as_wide_as_asked_for(model, depth, maps):
    predictor = built(model, distillation={"depth": depth, "hidden_dim": 5}).distillation.predictor
    layers = [module for module in predictor.modules() if isinstance(module, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [5] * (maps - 1) + [4] * (maps > 0)


@pytest.mark.parametrize("form", ["prototypes", "logits", "relational"])
def test_forms_that_live_among_projections_cannot_take_features(form):
    kind = next(k for name in objectives.names() if (k := objectives.get(name)).distillation == form)
    with pytest.raises(SettingsError, match=f"'{form}' needs projections: name another form"):
        Cassle.resolve({"space": "features"}, kind)
    Cassle.resolve({"space": "features", "distillation": {"name": "predictive"}}, kind)


def test_a_momentum_network_teaches_where_there_is_one():
    assert Cassle.resolve({"teacher": "momentum"}, BYOL)["teacher"] == "momentum"
    with pytest.raises(SettingsError, match="SimCLR has no momentum network that could be the teacher"):
        Cassle.resolve({"teacher": "momentum"}, SimCLR)


@pytest.mark.parametrize(("predictor", "carried"), [("carried", True), ("renewed", False)])
def test_the_predictor_of_a_new_task_is_the_last_one_or_a_new_one(model, predictor, carried):
    strategies = [
        built(model, predictor=predictor, distillation={"depth": 2, "hidden_dim": 8, "name": "contrastive"})
        for _ in range(2)
    ]
    last, new = strategies
    before = {key: value.clone() for key, value in new.state_dict().items()}
    new.load_previous(last.state_dict(), "the strategy of x")
    expected = last.state_dict() if carried else before
    assert all(torch.equal(value, expected[key]) for key, value in new.state_dict().items())
    assert not torch.equal(before["distillation.predictor.0.weight"], last.distillation.predictor[0].weight)
