"""Files that say the same thing twice say the same thing."""

import ast
import json
import re
import runpy
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import yaml

from cassle import __version__
from cassle.cli import main

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_asks_for_what_pyproject_asks_for():
    asked = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in asked if isinstance(entry, dict))
    extras = PROJECT["optional-dependencies"]
    assert set(pip) == {*PROJECT["dependencies"], *extras["dali"], *extras["wandb"]}
    python = next(entry for entry in asked if isinstance(entry, str) and entry.startswith("python="))
    assert python.removeprefix("python=") >= PROJECT["requires-python"].removeprefix(">=")


def test_every_file_names_the_same_version():
    assert PROJECT["version"] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert f"## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_pinned_versions_cover_every_dependency_and_name_no_address():
    text = (ROOT / "requirements.txt").read_text()
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    for asked in [*PROJECT["dependencies"], *extras["dev"], *extras["wandb"]]:
        assert re.match(r"[A-Za-z0-9-]+", asked)[0].lower() in pinned
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_the_schemas_in_the_repository_are_those_of_the_settings(tmp_path):
    assert main(["schema", "--out", str(tmp_path)]) == 0
    for name in ("study.schema.json", "recipe.schema.json"):
        made, held = (json.loads((folder / name).read_text()) for folder in (tmp_path, ROOT / "config"))
        assert made == held, f"{name} has drifted: run `cassle schema --out config`"


def test_the_reference_pages_in_the_repository_are_those_of_the_code(tmp_path):
    runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["main"](tmp_path)
    held = {page.name: page.read_text() for page in (ROOT / "docs" / "reference").iterdir()}
    made = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert made == held, "docs/reference has drifted: run `make reference`"


def test_packages_import_downwards_only():
    graph = {package.name: set() for package in (ROOT / "cassle").iterdir() if package.is_dir()}
    for package, below in graph.items():
        for file in (ROOT / "cassle" / package).rglob("*.py"):
            nodes = ast.walk(ast.parse(file.read_text()))
            names = [node.module.split(".") for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
            below |= {parts[1] for parts in names if parts[0] == "cassle" and len(parts) > 1}
    order = TopologicalSorter({name: (below - {name}) & set(graph) for name, below in graph.items()})
    assert set(order.static_order()) == set(graph)
