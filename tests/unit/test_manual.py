"""The manual of the settings is complete and its examples work."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cassle.data.base import datasets
from cassle.data.view_settings import ViewSettings
from cassle.distillations.base import distillations
from cassle.evaluation.base import probes
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.settings.recipe import (
    AdamWSettings,
    CosineSettings,
    LARSSettings,
    Recipe,
    SGDSettings,
    WarmupCosineSettings,
)
from cassle.settings.site import Execution, WandbSettings
from cassle.settings.study import Study
from cassle.strategies.base import strategies

MANUAL = (Path(__file__).parents[2] / "config" / "README.md").read_text()
REGISTRIES = (objectives, strategies, distillations, backbones, probes, datasets)
OPTIMIZERS = [AdamWSettings, LARSSettings, SGDSettings]
GROUPS = [Study, Execution, WandbSettings, Recipe, ViewSettings, CosineSettings, WarmupCosineSettings, *OPTIMIZERS]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_key_is_explained(group):
    assert [key for key in group.model_fields if f"`{key}`" not in MANUAL] == []


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_method_and_each_of_its_settings_is_named(registry):
    names = [name for name in registry.names() if registry.get(name).__module__.startswith("cassle.")]
    keys = {key for name in names for key in registry.get(name).Settings.model_fields}
    assert [word for word in [*names, *sorted(keys)] if f"`{word}`" not in MANUAL] == []


def test_the_table_of_objectives_holds_each_setting_its_default_and_its_meaning():
    rows = []
    for name in [name for name in objectives.names() if objectives.get(name).__module__.startswith("cassle.")]:
        settings = objectives.get(name).Settings
        defaults = settings().model_dump(mode="json")
        for place, (key, field) in enumerate(settings.model_fields.items()):
            head = "" if place else f" `{name}`"
            default = json.dumps(defaults[key]).strip('"')
            rows.append(f"|{head} | `{key}` | `{default}` | {field.description} |\n")
    assert "".join(rows) in MANUAL


def value_of(text):
    """The default that a manual's text means: JSON, or a word."""
    try:
        return json.loads(text.strip("`"))
    except ValueError:
        return text.strip("`")


@pytest.mark.parametrize("registry", [strategies, distillations, backbones, probes], ids=lambda registry: registry.kind)
def test_the_defaults_in_the_table_of_a_kind_of_method_are_those_it_has(registry):
    compared = 0
    for line in MANUAL.splitlines():
        head, _, text = line.removeprefix("| ").partition(" | ")
        names = re.findall(r"`([^`]+)`", head)
        if not names or not set(names) <= set(registry.names()):
            continue
        for key, given in re.findall(r"`(\w+)` \(([^):]+)", text):
            several = given.split(", ") if len(names) > 1 and ", " in given else [given] * len(names)
            for name, value in zip(names, several, strict=True):
                default = registry.get(name).Settings().model_dump(mode="json")[key]
                assert (name, key, value_of(value)) == (name, key, default["name"] if key == "classifier" else default)
                compared += 1
    assert compared


def test_the_learning_rates_of_linear_evaluation_told_of_objectives_are_those_they_have():
    text = re.search(
        r"The learning rate of `linear` comes from the objective:\n(.*?) for all others", MANUAL, re.DOTALL
    )[1]
    *parts, rest = re.split(r",?\s(?=[\d.]+\b)", f" {text}")[1:]
    said = {name: float(part.split()[0]) for part in parts for name in re.findall(r"`(\w+)`", part)}
    names = [name for name in objectives.names() if objectives.get(name).__module__.startswith("cassle.")]
    assert {name: objectives.get(name).linear_lr for name in names} == dict.fromkeys(names, float(rest)) | said


def test_every_figure_is_named():
    assert [name for name in module_names(FIGURES) if f"`{name}`" not in MANUAL] == []


def test_every_example_resolves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "my_recipes"):
        Path(folder).mkdir()
    Path("mine/near_teacher.py").write_text(re.search(r"```python\n(.*?)```", MANUAL, re.DOTALL)[1])
    examples = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    assert len(examples) >= 6
    for text in examples:
        if "studies" in yaml.safe_load(text):
            assert read_study(yaml.safe_load(text)).studies
        elif "streams" in yaml.safe_load(text):
            assert resolve(read_study(yaml.safe_load(text))).train
        else:
            Path("my_recipes/simclr.yaml").write_text(text)
            words = {"stream": "digits-class5", "objective": "simclr", "strategy": "cassle", "recipes": "my_recipes"}
            assert resolve(read_study(words)).train
