"""Every study of config/paper from data to tables and figures: one objective, two tasks, a narrow network."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cassle.plan import Plan
from cassle.plan.request import Request, plan_study
from cassle.reporting.rows.names import bare
from cassle.settings.reading import read_yaml
from tests.long.paper_data import build
from tests.workflow.conftest import REPOSITORY, Project, copy_of_the_project

PAPER = REPOSITORY / "config" / "paper"
NAMES = [Path(file).stem for file in read_yaml(PAPER / "all.yaml")["studies"]]
STREAMS = {"class5": "class2", "data5": "data2", "domain6": "domain2"}
OBJECTIVES = {"cifar100_methods": ["simclr", "supervised"]}
STRATEGIES = [
    "finetune",
    "er",
    "cassle",
    {"name": "cassle", "distillation": {"depth": 0}},
    {"name": "cassle", "space": "features"},
]
SHORT = {"name": "linear", "epochs": 2}
PROBES = {
    "linear": SHORT,
    **{name: {"name": name, "classifier": SHORT} for name in ("semi_1", "semi_10", "domain_aware", "transfer")},
}
CONFIG = {
    "backbone": "conv3-narrow",
    "training": {"epochs": 1, "batch_size": 48},
    "figures": ["results"],
    "execution": {"device": "cpu"},
}


def thin(values: dict, objectives: list[str]) -> dict:
    """Return a study, or a grid of it, reduced to the names in the lists above and two or three tasks."""
    found = dict(values)
    if "streams" in found:
        cut = [(stream, *stream.split("-")) for stream in found["streams"]]
        found["streams"] = [f"{dataset}-{STREAMS[tasks]}" for _, dataset, tasks in cut if tasks in STREAMS]
    for key, kept in (("objectives", objectives), ("strategies", STRATEGIES)):
        if key in found:
            found[key] = [choice for choice in found[key] if choice in kept]
    if "probes" in found:
        found["probes"] = [PROBES.get(name, name) for name in found["probes"]]
    if "grids" in found:
        grids = [thin(grid, objectives) for grid in found["grids"]]
        found["grids"] = [grid for grid in grids if all(grid.get(key, True) for key in ("objectives", "strategies"))]
    return found


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict:
    """Overrides of the command line."""
    root = build(tmp_path_factory.mktemp("data"))
    data = {"imagenet100": {"root": "imagenet"}}
    return {**CONFIG, "data_root": str(root), "data": data}


@pytest.fixture(scope="module")
def overrides(given) -> list[str]:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return ["--config", *(f"{key}={text}" for key, text in texts.items())]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, overrides) -> Project:
    """All studies in one run, so that shared jobs run once."""
    project = copy_of_the_project(tmp_path_factory.mktemp("paper") / "project")
    for name in NAMES:
        file = project.folder / "config" / "paper" / f"{name}.yaml"
        file.write_text(yaml.safe_dump(thin(read_yaml(file), OBJECTIVES.get(name, ["simclr"])), sort_keys=False))
    code, output = project.run("tables", "figures", "--configfile", "config/paper/all.yaml", *overrides)
    assert code == 0, output
    return project


@pytest.fixture(scope="module")
def parts(finished, given) -> dict[str, Plan]:
    """The plan of each study."""
    file = finished.folder / "config" / "paper" / "all.yaml"
    return {part.study.name: part for part in plan_study(Request(given, [str(file)])).parts()}


@pytest.fixture(params=NAMES)
def study(request, parts, finished) -> tuple[Plan, Path]:
    """One of the studies: its plan and its folder of results."""
    part = parts[request.param]
    return part, finished.folder / str(part.folder)


def test_a_study_has_a_table_for_each_of_its_streams_and_probes(study):
    part, folder = study
    files = [file.relative_to(folder / "tables").with_suffix("") for file in folder.glob("tables/*/*.md")]
    assert {file.parts for file in files} == set(part.tables())
    chosen = read_yaml(PAPER / f"{part.study.name}.yaml")["probes"]
    assert {file.name.partition("~")[0] for file in files} == set(chosen)
    assert {file.parent.name for file in files} == set(part.summary().streams)


def test_every_row_has_its_numbers_and_none_is_missing(study):
    part, folder = study
    for stream, probe in part.tables():
        text = (folder / "tables" / stream / f"{probe}.md").read_text()
        table = pd.read_csv(folder / "tables" / stream / f"{probe}.csv")
        rows = [row for row in part.rows if (row.stream, row.probe) == (stream, probe)]
        untrained = table["strategy"] == "random"
        average = table[table["metric"] == "A"]
        assert sorted(map(bare, average["strategy"])) == sorted(
            [bare(row.strategy) for row in rows] + ["random"] * (probe != "online")
        )
        assert average["mean"].between(0, 1).all()
        assert set(average["n"]) == {1}
        continual = table[~untrained & (table["strategy"] != "offline")]
        for metric, defined in (("F", True), ("T", probe != "online")):
            found = continual[continual["metric"] == metric]["mean"].notna()
            assert found.all() if defined and part.study.name != "transfer" else not found.any()
        spent = table[table["metric"].isin(["hours", "flops"])]
        assert len(spent) == 2 * len(rows)
        assert (spent["mean"] > 0).all()
        assert table["published"].isna().all()  # another network, fewer tasks
        assert "published" not in text
        assert "missing" not in text
        assert "preset original" in text.splitlines()[0]


def test_every_study_draws_the_results_figure_of_each_of_its_streams(study):
    part, folder = study
    for stream, probe, figure in part.figures():
        for ending in ("pdf", "svg", "png"):
            assert (folder / "figures" / stream / probe / f"{figure}.{ending}").stat().st_size > 2000


def test_a_single_study_repeats_no_training_and_reuses_the_accuracies_of_all(finished, parts, overrides):
    tables = finished.folder / str(parts["transfer"].folder) / "tables"
    before = {file: file.read_text() for file in tables.rglob("*.csv")}
    arguments = ("tables", "--configfile", "config/paper/transfer.yaml", *overrides)
    planned = finished.plan(*arguments)
    assert set(planned) <= {"probe_checkpoint", "probe_random_network", "collect_runs", "make_table"}
    code, output = finished.run(*arguments)
    assert code == 0, output
    for file, job in parts["transfer"].probe.items():
        (label,) = [probe.label for probe in job.spec.probes]
        log = (finished.folder / file).with_suffix(".log").read_text()
        assert f"{label}: as in {job.output.directory}/" in log
    assert {file: file.read_text() for file in tables.rglob("*.csv")} == before
