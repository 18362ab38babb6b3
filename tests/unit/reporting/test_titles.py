"""Titles belong to the classes: a plugin has its title in tables, figures and on the page."""

import numpy as np
import pytest

from cassle.contracts.summary import read_summary
from cassle.core.files import write_json
from cassle.evaluation.base import probes
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.plan import resolve
from cassle.reporting.figures import figures, write_figure
from cassle.reporting.figures.features.base import Snapshot, runs_of
from cassle.reporting.page import write_page
from cassle.reporting.rows.benchmark import write_jobs
from cassle.reporting.rows.frame import write_runs
from cassle.reporting.tables.table import write_tables
from cassle.settings.reading import read_study
from cassle.strategies.base import strategies
from tests.unit.reporting.made import PROBE, STREAM, rows_of

PLUGIN = """
from cassle.nets.backbones.conv import Conv3
from cassle.nets.base import backbones
from cassle.objectives.base import objectives
from cassle.objectives.simclr import SimCLR
from cassle.strategies.base import Strategy, strategies


@objectives.register("two_sided")
class TwoSided(SimCLR):
    title = "Two-Sided CLR"


@objectives.register("no_title")
class NoTitle(SimCLR):
    pass


@strategies.register("two_sided")
class Other(Strategy):
    title = "Other Method"


@backbones.register("conv_mine")
class Mine(Conv3):
    title = "My Network"
"""
RECIPE = """
digits:
  source: this test
  epochs: 15
  batch_size: 64
  optimizer: {name: adamw, lr: 3.0e-3, weight_decay: 1.0e-4, lr_per: null}
  schedule: {name: cosine}
  classifier_lr: 1.0e-2
  views: [{size: 16}, {size: 16}]
"""
MATRIX = [[0.80, 0.30], [0.50, 0.90]]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Paths of runs.csv, study.json and benchmark.csv of a study with objectives and a strategy of a plugin."""
    monkeypatch.chdir(tmp_path)
    for registry in (objectives, strategies, backbones, probes):
        monkeypatch.setattr(registry, "_entries", {name: registry.get(name) for name in registry.names()})
    (tmp_path / "mine.py").write_text(PLUGIN)
    for name in ("two_sided", "no_title"):
        (tmp_path / f"{name}.yaml").write_text(RECIPE)
    settings = {
        "plugins": ["mine.py"],
        "streams": [STREAM],
        "objectives": [{"name": "two_sided", "temperature": 0.5}, "no_title"],
        "strategies": ["finetune", "two_sided", "cassle+two_sided"],
        "backbones": ["conv3", "conv_mine"],
        "probes": [PROBE],
    }
    summary = resolve(read_study(settings)).summary().model_dump(mode="json")
    write_json(tmp_path / "study.json", summary)
    rows = [
        row
        for backbone in summary["backbones"]
        for objective in summary["objectives"]
        for strategy in summary["strategies"]
        for row in rows_of(MATRIX, strategy, objective=objective, backbone=backbone)
    ]
    write_runs(tmp_path / "runs.csv", rows)
    write_jobs(tmp_path / "benchmark.csv", [])
    return tmp_path / "runs.csv", tmp_path / "study.json", tmp_path / "benchmark.csv"


TITLES = ("Two-Sided CLR (temperature=0.5)", "no title", "fine-tuning", "Other Method", "CaSSLe+Other Method")


def test_a_plugin_has_its_titles_in_tables(study, tmp_path):
    runs, summary, _ = study
    write_tables(runs, summary, STREAM, PROBE, tmp_path / "table.md")
    for ending in ("html", "tex"):
        text = (tmp_path / f"table.{ending}").read_text()
        assert not [title for title in (*TITLES, "My Network", "Conv-3") if title not in text]
    text = (tmp_path / "table.md").read_text()
    assert "two_sided" in text
    assert "Two-Sided" not in text


@pytest.mark.parametrize("name", figures.names())
def test_a_plugin_has_its_titles_in_every_figure(study, tmp_path, name):
    runs, summary, _ = study
    write_figure(runs, summary, name, STREAM, PROBE, tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert not [title for title in ("Two-Sided", "no title", "Other Method", "My Network") if title not in text]


def test_a_plugin_has_its_titles_in_figures_of_features(study):
    def snapshot(strategy):
        zeros = np.zeros(1)
        return Snapshot("conv_mine", "two_sided~temperature=0.5", strategy, 1, zeros, zeros, zeros)

    runs = runs_of([snapshot("two_sided"), snapshot("finetune")], read_summary(study[1]))
    assert list(runs) == [
        ("My Network", "Two-Sided CLR (temperature=0.5)", "fine-tuning"),
        ("My Network", "Two-Sided CLR (temperature=0.5)", "Other Method"),
    ]


def test_a_plugin_has_its_titles_on_the_page(study, tmp_path):
    runs, summary, jobs = study
    write_page(runs, summary, jobs, [], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert not [title for title in (*TITLES, "My Network", "k-NN") if title not in text]


def test_a_subclass_does_not_inherit_a_title(study):
    assert issubclass(objectives.get("no_title"), objectives.get("simclr"))
    assert (objectives.title("simclr"), objectives.title("no_title")) == ("SimCLR", "no title")
