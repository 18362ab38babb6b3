"""What there is of an unfinished study; and that a number is the same wherever it is shown."""

import contextlib
import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cassle.cli import main
from cassle.core.errors import CassleError
from cassle.core.files import read_json, write_json
from cassle.reporting.figures import figures
from cassle.reporting.figures.bars import bars
from cassle.reporting.figures.forgetting_against_accuracy import forgetting_against_accuracy
from cassle.reporting.partial import write_partial
from cassle.reporting.rows.benchmark import read_jobs
from cassle.reporting.rows.frame import read_runs
from cassle.reporting.rows.method_results import methods_of
from tests.unit.reporting.made import CASSLE, FINETUNE, OFFLINE, STREAM, summary, write_summary

from .test_page import write_results

FOLDER = "studies/made-up"


def unfinished(folder):
    """A study of which CaSSLe has not finished."""
    write_results(folder)
    shutil.rmtree(folder / f"{STREAM}/conv3/simclr/cassle")
    write_summary(folder / FOLDER / "study.json")
    return folder


@dataclass
class Looked:
    """An unfinished study that was looked at: its folder, the files there were before, and what was said."""

    results: Path
    before: set[Path]
    said: str


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    results = unfinished(tmp_path_factory.mktemp("looked"))
    before, said = {file for file in results.rglob("*") if file.is_file()}, io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["table", "--partial", str(results / FOLDER)]) == 0
    return Looked(results, before, said.getvalue())


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An unfinished study, of which one figure is drawn."""
    monkeypatch.setattr(figures, "names", lambda: ["bars"])
    return unfinished(tmp_path)


def test_what_is_there_is_shown_and_the_rest_is_marked(looked):
    out = looked.results / FOLDER / "partial"
    table = (out / f"tables/{STREAM}/knn.md").read_text()
    lines = {line.split("|")[2].strip(): [f.strip() for f in line.split("|")[3:-1]] for line in table.splitlines()[4:8]}
    assert lines["finetune"][:4] == ["70.0", "30.0", "10.0", "1"]
    assert lines["cassle"][:4] == ["missing", "missing", "missing", "0 of 1"]
    drawn = sorted(file.name for file in (out / f"figures/{STREAM}/knn").glob("*.png"))
    assert drawn == [f"{name}.png" for name in figures.names()]
    assert "2 of 3 runs finished" in (out / "report.html").read_text()


def test_the_verb_prints_the_tables_and_where_the_rest_lies(looked):
    assert "missing" in looked.said
    assert "partial/report.html" in looked.said


def test_the_workflows_own_files_stay_as_they_are(looked):
    after = {file for file in looked.results.rglob("*") if file.is_file()}
    assert looked.before < after
    assert all(file.is_relative_to(looked.results / FOLDER / "partial") for file in after - looked.before)


def test_a_second_look_sees_what_came_since(results):
    write_partial(results / FOLDER)
    write_results(results)
    out = write_partial(results / FOLDER)
    assert "missing" not in (out / f"tables/{STREAM}/knn.md").read_text()


def test_a_study_that_never_started_is_refused(tmp_path):
    with pytest.raises(CassleError, match="start the study once"):
        write_partial(tmp_path / "studies" / "none")


def test_a_folder_that_does_not_lie_beside_its_results_is_refused(results, capsys):
    copy = shutil.copytree(results / FOLDER, results / "copy")
    assert main(["table", "--partial", str(copy)]) == 1
    assert f"{copy} is no folder of a study: give one such as results/studies/digits" in capsys.readouterr().err
    assert not (copy / "partial").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("checkpoint", ..., "'checkpoint' is missing"),
        ("execution", ..., "'execution' is missing"),
        ("accuracies", {"knn": [0.5, 0.25, 0.125]}, "accuracies of knn has 3 values for 2 tasks"),
    ],
)
def test_a_file_of_accuracies_that_is_none_is_named_and_no_table_written(results, capsys, key, value, said):
    file = results / f"{STREAM}/conv3/simclr/finetune/seed0/task1/probes/{STREAM}/knn.json"
    held = {**read_json(file), key: value}
    write_json(file, {name: one for name, one in held.items() if one is not ...})
    assert main(["table", "--partial", str(results / FOLDER)]) == 1
    assert f"{file}: {said}; delete that file and run the workflow again" in capsys.readouterr().err
    assert not (results / FOLDER / "partial").exists()


def test_a_number_is_the_same_in_runs_tables_figures_and_page(results):
    write_results(results)
    out = write_partial(results / FOLDER)
    runs = read_runs(out / "runs.csv")
    # By hand: A is the mean of the last row, F what the first task lost, T what the second had before its own training.
    wanted = {"finetune": 70.0, "cassle": 78.0, "offline": 93.0}
    assert wanted == {
        name: pytest.approx(100 * sum(matrix[-1]) / 2)
        for name, matrix in (("finetune", FINETUNE), ("cassle", CASSLE), ("offline", OFFLINE))
    }
    last = runs[(runs["task"] == 1) | (runs["strategy"] == "offline")]
    assert {name: pytest.approx(100 * part["accuracy"].mean()) for name, part in last.groupby("strategy")} == wanted
    table = csv.DictReader((out / f"tables/{STREAM}/knn.csv").read_text().splitlines())
    means = {(row["strategy"], row["metric"]): 100 * float(row["mean"] or "nan") for row in table}
    assert {name: pytest.approx(means[name, "A"]) for name in wanted} == wanted
    assert (means["finetune", "F"], means["cassle", "F"]) == (pytest.approx(30), pytest.approx(10))
    assert (means["finetune", "T"], means["cassle", "T"]) == (pytest.approx(10), pytest.approx(10))
    assert means["random", "A"] == pytest.approx(15)
    methods = methods_of(runs, summary(), STREAM, "knn")
    (axes,) = forgetting_against_accuracy(methods).axes
    points = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if len(line.get_xdata())]
    assert points == [pytest.approx((30, 70)), pytest.approx((10, 78))]
    (axes,) = bars(methods).axes
    assert [round(bar.get_height(), 6) for bar in axes.patches] == list(wanted.values())
    for text in ((out / f"tables/{STREAM}/knn.{end}").read_text() for end in ("md", "tex", "html")):
        assert all(f"{value:.1f}" in text for value in [*wanted.values(), 30.0, 10.0, 15.0])
    page = (out / "report.html").read_text()
    assert all(f'data-value="{value:g}"' in page for value in wanted.values())
    assert len(read_jobs(out / "benchmark.csv")) == 4 + 5
