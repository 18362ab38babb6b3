"""From settings to objects: weights follow from the seed alone, and the code's name from the methods used."""

import pytest
import torch

from cassle.contracts.specs import Component
from cassle.data.base import datasets
from cassle.objectives.base import objectives
from cassle.strategies.base import strategies
from cassle.training import build
from cassle.training.build import build_backbone, build_model, build_strategy, training_code
from tests.unit.specs import changed
from tests.unit.training.conftest import planned

SIZE, CLASSES = datasets.get("digits").image_size, 10
OBJECTIVES = pytest.mark.parametrize("objective", objectives.names())
STRATEGIES = pytest.mark.parametrize("strategy", strategies.names())


def spec_of(objective="simclr", strategy="cassle", seed=0):
    """The specification of a run's second task."""
    return changed(planned(objective, strategy)[1].spec, seed=seed)


def model_of(spec):
    torch.seed()  # What was drawn before must not matter.
    return build_model(spec, SIZE, CLASSES)


def equal(one, two):
    """Whether two modules hold the same tensors bit for bit."""
    a, b = one.state_dict(), two.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


@OBJECTIVES
def test_the_same_seed_gives_the_same_weights_for_every_objective(objective):
    spec = spec_of(objective)
    assert equal(model_of(spec), model_of(spec.model_copy(deep=True)))


@STRATEGIES
def test_the_weights_of_a_model_do_not_depend_on_the_strategy(strategy):
    model = model_of(spec_of(strategy=strategy))
    assert equal(model, model_of(changed(spec_of(strategy=strategy), strategy=None)))
    assert equal(model, model_of(spec_of(strategy="finetune")))


@OBJECTIVES
def test_another_seed_gives_other_weights_to_every_part(objective):
    one, two = (model_of(spec_of(objective, seed=seed)) for seed in (0, 1))
    assert not equal(one.backbone, two.backbone)
    assert not equal(one.objective, two.objective)
    assert not equal(one.classifier, two.classifier)


@OBJECTIVES
def test_the_weights_of_the_backbone_do_not_depend_on_the_objective(objective):
    spec = spec_of(objective)
    assert equal(model_of(spec).backbone, build_backbone(spec.backbone, SIZE, seed=0))


@OBJECTIVES
def test_the_weights_of_the_backbone_do_not_depend_on_the_objectives_settings(objective):
    spec = spec_of(objective)
    other = changed(spec, objective={"settings": {"output_dim": 24}})
    assert equal(model_of(spec).backbone, model_of(other).backbone)


def test_the_weights_of_the_heads_do_not_depend_on_how_the_backbone_is_drawn(monkeypatch):
    plain = model_of(spec_of())

    def drawn_otherwise(*arguments):
        backbone = build_backbone(*arguments)
        torch.seed()
        return backbone

    monkeypatch.setattr(build, "build_backbone", drawn_otherwise)
    assert equal(model_of(spec_of()).objective, plain.objective)


@pytest.mark.parametrize("task", [0, 1, 4])
def test_initial_weights_do_not_depend_on_the_task(task):
    assert equal(model_of(changed(spec_of(), task=task)), model_of(spec_of()))


def test_backbones_of_two_names_or_seeds_are_drawn_apart():
    made = [
        build_backbone(Component(name=name, settings={}), SIZE, seed).blocks[0][0].weight[:8]
        for name in ("conv3", "conv3-narrow")
        for seed in (0, 1)
    ]
    assert len({tuple(weight.flatten().tolist()) for weight in made}) == 4


def test_a_backbone_computes_with_channels_last():
    maps, _ = build_backbone(Component(name="conv3", settings={}), SIZE, 0).stages(torch.rand(2, 3, SIZE, SIZE))
    assert all(stage.is_contiguous(memory_format=torch.channels_last) for stage in maps)


def strategy_of(spec):
    model = model_of(spec)
    torch.seed()
    return build_strategy(spec, model)


@STRATEGIES
def test_the_same_seed_gives_the_same_weights_for_every_strategy(strategy):
    spec = spec_of(strategy=strategy)
    assert equal(strategy_of(spec), strategy_of(spec.model_copy(deep=True)))


@OBJECTIVES
def test_the_same_seed_gives_the_same_distillation_for_every_objective(objective):
    one, again, other = (strategy_of(spec_of(objective, seed=seed)) for seed in (0, 0, 1))
    assert equal(one, again)
    assert not equal(one, other)


@STRATEGIES
def test_building_a_strategy_leaves_the_model_as_it_was(strategy):
    spec = spec_of(strategy=strategy)
    model = model_of(spec)
    build_strategy(spec, model)
    assert equal(model, model_of(spec))


def test_a_shared_first_task_is_plain_fine_tuning():
    spec = changed(spec_of(), strategy=None)
    strategy = build_strategy(spec, model_of(spec))
    assert type(strategy) is strategies.get("finetune")
    assert not list(strategy.parameters())


def distilled(form):
    return spec_of(strategy={"name": "cassle", "distillation": {"name": form}})


def test_the_code_of_a_training_changes_with_the_objective():
    assert len({training_code(spec_of(name)) for name in objectives.names()}) == len(objectives.names())


def test_the_code_of_a_training_changes_with_the_strategy():
    codes = {training_code(changed(spec_of(), strategy=None))}
    for name in strategies.names():
        codes.add(training_code(spec_of(strategy=name)))
    assert len(codes) == len(strategies.names()) + 1


def test_the_code_of_a_training_changes_with_the_form_of_distillation():
    forms = ("contrastive", "decorrelative", "predictive")
    assert len({training_code(distilled(form)) for form in forms}) == len(forms)


def test_the_code_of_a_training_changes_with_the_backbone():
    spec = spec_of()
    assert training_code(changed(spec, backbone={"name": "resnet18", "settings": {}})) != training_code(spec)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7, "task": 4},
        {"objective": {"settings": {"temperature": 0.7, "output_dim": 3}}},
        {"strategy": {"settings": {"weight": 0.3, "teacher_batchnorm": "batch"}}},
        {"strategy": {"settings": {"distillation": {"hidden_dim": 5}}}},
        {"training": {"epochs": 9}},
        {"stream": {"tasks": 5}},
    ],
    ids=["seed and task", "objective", "strategy", "distillation", "training", "stream"],
)
def test_the_code_of_a_training_does_not_change_with_hyper_parameters(change):
    spec = spec_of()
    other = changed(spec, **change)
    assert other != spec
    assert training_code(other) == training_code(spec)


def test_the_code_of_a_training_has_one_name_for_one_code():
    assert training_code(spec_of("byol")) == training_code(spec_of("byol"))
