"""docs/strategies.md has a section per strategy: a formula, a citation, and a table of the defaults that are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cassle.core.provenance import class_file
from cassle.plan import resolve
from cassle.settings.reading import read_study
from cassle.strategies.base import strategies

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
SECTIONS = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
NAMES = [name for name in strategies.names() if strategies.get(name).__module__.startswith("cassle.")]


def test_every_strategy_has_a_section():
    assert sorted(SECTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_section_has_a_formula_and_a_citation(name):
    assert re.search(r"^    L = L_", SECTIONS[name], re.MULTILINE)
    assert re.search(r"\d{4}, \[\d{4}\.\d{5}\]\(https://arxiv\.org/abs/\d{4}\.\d{5}\)|CVPR 2019", SECTIONS[name])
    paper = re.search(r"\d{4}\.\d{5}|CVPR 2019", SECTIONS[name])[0]
    assert paper in class_file(strategies.get(name)).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_table_holds_each_setting_and_its_default(name):
    told = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", SECTIONS[name], re.MULTILINE))
    settings = strategies.get(name).Settings()
    held = {key: json.dumps(value).strip('"') for key, value in settings.model_dump(mode="json").items()}
    if name == "pnr":  # the rest is CaSSLe's
        held = {"negative_weight": held["negative_weight"]}
    assert told == held


def test_every_example_resolves():
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        assert resolve(read_study(yaml.safe_load(text))).train
