"""The recipes say what their sources say: a compact copy of the facts, compared value by value."""

from pathlib import Path

import pytest
import yaml

from cassle.core.options import parse
from cassle.distillations.base import distillations
from cassle.objectives.base import objectives
from cassle.settings.recipe import Recipe
from cassle.strategies.base import strategies

FOLDER = Path(__file__).parents[2] / "config" / "recipes"
RECIPES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
DATASETS = ("digits", "cifar10", "cifar100", "imagenet100", "domainnet")
EPOCHS = {"cifar10": 500, "cifar100": 500, "imagenet100": 400, "domainnet": 200}
SIDES = {"cifar10": (32, 24), "cifar100": (32, 24), "imagenet100": (224, 96), "domainnet": (224, 96)}
TRAINING = """
objective      dataset     optimizer  lr     decay  schedule       warm-up  start  min_lr  classifier
barlow_twins   cifar100     lars       0.3    1e-4   warmup_cosine  10       0.003  0       0.1
barlow_twins   imagenet100  lars       0.4    1e-4   warmup_cosine  10       0.003  0       0.3
byol           cifar100     lars       1.0    1e-5   warmup_cosine  10       0.003  0       0.1
byol           imagenet100  lars       0.6    1e-5   warmup_cosine  10       0.003  0       0.1
deepclusterv2  cifar100     lars       0.6    1e-6   warmup_cosine  11       0      6e-4    0.1
deepclusterv2  imagenet100  lars       0.6    1e-6   warmup_cosine  11       0      6e-4    0.1
dino           cifar100     lars       0.3    1e-6   warmup_cosine  10       0.003  0       0.1
dino           imagenet100  lars       0.3    1e-6   warmup_cosine  10       0.003  0       0.1
mocov2plus     cifar100     sgd        0.3    1e-4   warmup_cosine  10       0.003  0       0.3
mocov2plus     imagenet100  sgd        0.4    1e-4   cosine         -        -      0       0.3
nnclr          cifar100     lars       0.4    1e-5   warmup_cosine  10       0.003  0       0.1
nnclr          imagenet100  lars       0.4    1e-5   warmup_cosine  10       0.003  0       0.3
ressl          cifar100     sgd        0.05   1e-4   warmup_cosine  10       0.003  0       0.1
ressl          imagenet100  sgd        0.3    1e-4   warmup_cosine  10       0.003  0       0.1
simclr         cifar100     lars       0.4    1e-5   warmup_cosine  10       0.003  0       0.1
simclr         imagenet100  lars       0.4    1e-4   warmup_cosine  10       0.003  0       0.3
simsiam        cifar100     sgd        0.5    1e-5   warmup_cosine  10       0.003  0       0.1
simsiam        imagenet100  sgd        0.5    1e-5   warmup_cosine  10       0.003  0       0.1
supcon         cifar100     lars       0.4    1e-5   warmup_cosine  10       0.003  0       0.1
supcon         imagenet100  lars       0.4    1e-4   warmup_cosine  10       0.003  0       0.3
supervised     cifar100     lars       0.4    1e-5   warmup_cosine  10       0.003  0       0.1
supervised     imagenet100  lars       0.4    1e-4   warmup_cosine  10       0.003  0       0.3
swav           cifar100     lars       0.6    1e-6   warmup_cosine  10       0.003  6e-4    0.1
swav           imagenet100  lars       0.8    1e-6   warmup_cosine  10       0.003  6e-4    0.1
vicreg         cifar100     lars       0.3    1e-4   warmup_cosine  10       0.003  0       0.1
vicreg         imagenet100  lars       0.4    1e-4   warmup_cosine  10       0.003  0       0.3
wmse           cifar100     adamw      0.003  1e-6   warmup_cosine  2        0      0       0.003
wmse           imagenet100  adamw      0.002  1e-6   warmup_cosine  2        0      0       0.003
"""
STRONG, WEAK, EVEN = (0.8, 0.8, 0.8, 0.2), (0.4, 0.4, 0.2, 0.1), (0.4, 0.4, 0.4, 0.1)
VIEWS = {  # brightness, contrast, saturation, hue; smallest crop; solarize per view; blur per view at 224 pixels
    "barlow_twins": (WEAK, 0.08, (0, 0.2), (1, 0.1)),
    "byol": (WEAK, 0.08, (0, 0.2), (1, 0.1)),
    "deepclusterv2": (STRONG, 0.08, (0, 0), (0.5, 0.5)),
    "dino": (WEAK, 0.08, (0, 0.2), (1, 0.1)),
    "mocov2plus": (EVEN, 0.08, (0, 0), (0.5, 0.5)),
    "nnclr": (WEAK, 0.08, (0, 0.2), (1, 0.1)),
    "ressl": ({"cifar100": WEAK, "imagenet100": EVEN}, 0.08, (0, 0), (0.5, 0)),
    "simclr": (STRONG, 0.08, (0, 0), (0.5, 0.5)),
    "simsiam": (EVEN, 0.08, (0, 0), (0.5, 0.5)),
    "supcon": (STRONG, 0.08, (0, 0), (0.5, 0.5)),
    "supervised": (STRONG, 0.08, (0, 0), (0.5, 0.5)),
    "swav": (STRONG, 0.08, (0, 0), (0.5, 0.5)),
    "vicreg": (WEAK, 0.2, (0.1, 0.1), (0.5, 0.5)),
    "wmse": (
        {"cifar100": WEAK, "imagenet100": STRONG},
        {"cifar100": 0.2, "imagenet100": 0.08},
        (0, 0),
        (0.2, 0.2),
    ),
}
HEADS = {  # where a dataset is not named, both have the same
    "barlow_twins": {"hidden_dim": 2048, "output_dim": 2048, "lamb": 0.005, "scale_loss": 0.1},
    "byol": {
        "hidden_dim": 4096,
        "output_dim": 256,
        "pred_hidden_dim": {"cifar100": 4096, "imagenet100": 8192},
        "base_tau": 0.99,
        "final_tau": 1,
    },
    "deepclusterv2": {"hidden_dim": 2048, "output_dim": 128, "num_prototypes": [3000] * 3, "temperature": 0.1},
    "dino": {"hidden_dim": 2048, "output_dim": 256, "num_prototypes": 4096, "base_tau": 0.9995, "final_tau": 1},
    "mocov2plus": {
        "hidden_dim": 2048,
        "output_dim": {"cifar100": 256, "imagenet100": 128},
        "temperature": 0.2,
        "queue_size": {"cifar100": 32768, "imagenet100": 65536},
        "base_tau": 0.99,
        "final_tau": 0.999,
    },
    "nnclr": {"output_dim": 256, "pred_hidden_dim": 4096, "temperature": 0.2, "queue_size": 65536},
    "ressl": {"hidden_dim": 4096, "output_dim": 256, "temperature_q": 0.1, "temperature_k": 0.04, "final_tau": 1},
    "simclr": {"hidden_dim": 2048, "output_dim": {"cifar100": 256, "imagenet100": 128}, "temperature": 0.2},
    "simsiam": {"hidden_dim": 2048, "output_dim": 2048, "pred_hidden_dim": 512},
    "supcon": {
        "hidden_dim": 2048,
        "output_dim": {"cifar100": 256, "imagenet100": 128},
        "temperature": {"cifar100": 0.2, "imagenet100": 0.1},
    },
    "supervised": {"projector": "none"},
    "swav": {
        "hidden_dim": 2048,
        "output_dim": 128,
        "num_prototypes": 3000,
        "temperature": 0.1,
        "sk_epsilon": 0.05,
        "sk_iters": 3,
        "queue_size": 3840,
        "epoch_queue_starts": {"cifar100": 50, "imagenet100": 100},
        "freeze_prototypes_epochs": {"cifar100": 2, "imagenet100": 5},
    },
    "vicreg": {"hidden_dim": 2048, "output_dim": 2048, "sim_loss_weight": 25, "var_loss_weight": 25},
    "wmse": {"hidden_dim": 1024, "output_dim": 64, "whitening_size": 128, "whitening_iters": 1},
}
CORRECTED = {  # what `script_anomalies` of the release concerns: a word that the correction has to say
    ("byol", "cifar100"): "2 tasks",
    ("simclr", "cifar100"): "2 tasks",
    ("swav", "cifar100"): "exclude_1d",
    ("vicreg", "cifar100"): "classifier_lr",
    ("vicreg", "domainnet"): "predictiveMSE",
    ("byol", "domainnet"): "4 x 256",
    ("swav", "domainnet"): "epoch 100",
}
OBJECTIVES = sorted(VIEWS)
"""Objectives whose recipes have a source to be compared with."""


def recipe(objective: str, dataset: str) -> Recipe:
    entries = yaml.safe_load((FOLDER / f"{objective}.yaml").read_text())
    return parse(Recipe, entries[dataset], f"{objective}, {dataset}")


def value(fact, dataset):
    return fact[dataset] if isinstance(fact, dict) else fact


def same_source(dataset: str) -> str:
    """CIFAR10 takes CIFAR100's numbers and DomainNet ImageNet100's."""
    return {"cifar10": "cifar100", "domainnet": "imagenet100"}.get(dataset, dataset)


@pytest.mark.parametrize("objective", RECIPES)
def test_a_recipe_parses_for_its_objective_and_has_every_dataset_if_published(objective):
    entries = yaml.safe_load((FOLDER / f"{objective}.yaml").read_text())
    assert set(entries) <= set(DATASETS)
    assert set(entries) == set(DATASETS) or objective not in OBJECTIVES
    kind = objectives.get(objective)
    for dataset in entries:
        made = recipe(objective, dataset)
        parse(kind.Settings, made.objective, f"{objective} on {dataset}")
        for strategy, settings in made.strategies.items():
            strategies.get(strategy).resolve(settings, kind)
        assert made.source


@pytest.mark.parametrize("row", TRAINING.strip().splitlines()[1:], ids=lambda row: "-".join(row.split()[:2]))
def test_optimizer_schedule_and_rates_are_those_of_the_source(row):
    objective, named, optimizer, lr, decay, schedule, warmup, start, min_lr, classifier = row.split()
    for dataset in (name for name in DATASETS if same_source(name) == named):
        made = recipe(objective, dataset)
        assert (made.epochs, made.batch_size) == (EPOCHS[dataset], 256)
        settings = made.optimizer
        assert (settings.name, settings.lr, settings.lr_per) == (optimizer, float(lr), 256)
        assert settings.weight_decay == float(decay)
        if settings.name == "lars":
            assert (settings.eta, settings.clip, settings.exclude_1d, settings.momentum) == (0.02, True, True, 0.9)
        if settings.name == "sgd":
            assert settings.momentum == 0.9
        assert (made.schedule.name, made.schedule.min_lr) == (schedule, float(min_lr))
        if schedule == "warmup_cosine":
            assert (made.schedule.warmup_epochs, made.schedule.warmup_start_lr) == (int(warmup), float(start))
        assert made.classifier_lr == float(classifier)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_heads_are_those_of_the_source(objective):
    for dataset in DATASETS[1:]:
        if (objective, dataset) == ("swav", "domainnet"):
            continue
        settings = recipe(objective, dataset).objective
        for key, fact in HEADS[objective].items():
            assert settings[key] == value(fact, same_source(dataset)), key


def test_swav_on_domainnet_has_half_of_imagenet100s_queue_delay_and_a_freeze_of_3_epochs():
    settings = recipe("swav", "domainnet").objective
    assert (settings["epoch_queue_starts"], settings["freeze_prototypes_epochs"]) == (50, 3)
    changed = {key for key, setting in recipe("swav", "imagenet100").objective.items() if settings[key] != setting}
    assert changed == {"epoch_queue_starts", "freeze_prototypes_epochs"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_views_are_those_of_the_source(objective):
    colors, smallest, solarize, blur = VIEWS[objective]
    for dataset in DATASETS[1:]:
        made, named = recipe(objective, dataset), same_source(dataset)
        assert len(made.views) == 2
        for number, view in enumerate(made.views):
            jittered = not (objective == "ressl" and number == 1)
            assert (view.jitter, view.gray) == ((0.8, 0.2) if jittered else (0, 0))
            color = (view.brightness, view.contrast, view.saturation, view.hue)
            assert color == value(colors, named)
            assert view.scale == (value(smallest, named), 1)
            assert (view.size, view.flip, view.rotate) == (SIDES[dataset][0], 0.5, 0)
            assert view.solarize == solarize[number]
            assert view.blur == (0 if named == "cifar100" else blur[number])
            assert view.sigma == (0.1, 2.0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_distillation_has_the_papers_weight_and_settings(objective):
    form = distillations.get(objectives.get(objective).distillation)
    for dataset in DATASETS[1:]:
        given = recipe(objective, dataset).strategies["cassle"]
        assert given["weight"] == form.default_weight == (25 if objective == "vicreg" else 1)
        usual = form.Settings().model_dump()
        changed = {key for key, setting in given["distillation"].items() if usual[key] != setting}
        assert changed == set()
        assert given["distillation"]["hidden_dim"] == 2048


@pytest.mark.parametrize("objective", ["simclr", "swav", "dino"])
def test_multicrop_has_two_large_and_six_small_views_of_the_published_sizes_and_scales(objective):
    for dataset in DATASETS[1:]:
        views = recipe(objective, dataset).more_views["multicrop"]
        large, small = SIDES[dataset]
        assert [view.size for view in views] == [large] * 2 + [small] * 6
        assert [view.scale for view in views] == [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6


def test_every_correction_of_a_script_is_noted():
    for (objective, dataset), word in CORRECTED.items():
        assert any(word in note for note in recipe(objective, dataset).corrections), (objective, dataset)


def test_a_correction_of_one_script_is_not_claimed_of_another():
    for objective in OBJECTIVES:
        for dataset in DATASETS:
            noted = recipe(objective, dataset).corrections
            expected = (objective, same_source(dataset)) in CORRECTED or (objective, dataset) in CORRECTED
            borrowed = objective in ("deepclusterv2", "mocov2plus", "ressl", "simsiam", "wmse")
            assert not noted or expected or borrowed
