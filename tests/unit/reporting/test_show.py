"""What a finished study says in a terminal, and where its time went."""

import os
from types import SimpleNamespace

import pytest

import cassle.reporting.show as show
from cassle.contracts.records import write_record
from cassle.contracts.specs import TrainSpec
from cassle.core.errors import CassleError
from cassle.core.files import write_text
from cassle.reporting.show import listing, time_spent, where
from tests.unit.reporting.made import training_spec
from tests.unit.specs import probe_record, provenance, train_record

BEGAN, NOW = 1_000_000.0, 1_000_100.0
RUN = "digits-domain2/conv3/simclr/cassle/seed0/task1"
RANDOM = "digits-domain2/conv3/random/seed0"


@pytest.fixture
def study(tmp_path):
    for name in ("tables/b/online.md", "tables/a/knn.md"):
        write_text(tmp_path / name, f"# table {name}\n")
    write_text(tmp_path / "tables/a/knn.csv", "no,text\n")
    for name in ("timeline.pdf", "features/a/pca.pdf", "figures/a/knn/bars.pdf", "figures/a/knn/bars.svg",
                 "figures/a/knn/accuracy_matrix.pdf"):  # fmt: skip
        write_text(tmp_path / name, "")
    return tmp_path


def test_a_finished_study_is_told_in_a_line(study):
    assert where(study) == f"{study}: `cassle show {study}` prints its tables"
    write_text(study / "report.html", "")
    assert where(study) == f"{study}/report.html is the report, `cassle show {study}` prints its tables"
    assert where(study / "figures") is None


def test_all_tables_come_first_then_the_paths_of_figures_then_the_report(study):
    assert listing(study).splitlines() == [
        "# table tables/a/knn.md",
        "",
        "# table tables/b/online.md",
        "",
        "Figures:",
        f"  {study}/figures/a/knn/accuracy_matrix.pdf",
        f"  {study}/figures/a/knn/bars.pdf",
        f"  {study}/features/a/pca.pdf",
        f"  {study}/timeline.pdf",
        "Report:",
        "  `snakemake --cores all report` writes one",
    ]


def test_a_report_that_is_there_is_named(study):
    write_text(study / "report.html", "")
    assert listing(study).endswith(f"Report:\n  {study}/report.html")


def test_a_folder_without_tables_says_what_to_run(tmp_path):
    with pytest.raises(CassleError, match=r"no tables under .*run `snakemake --cores all` first"):
        listing(tmp_path)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two trainings and their evaluations, one of each before the moment in question, and the untrained network."""
    monkeypatch.setattr(show, "time", SimpleNamespace(time=lambda: NOW))

    spec = TrainSpec.model_validate(training_spec())

    def put(place, name, seconds, wall, when):
        probed = probe_record({"knn": [0.5]}, None, seconds=seconds)
        record = train_record(provenance(spec), seconds=seconds) if name == "train" else probed
        write_record(tmp_path / place / f"{name}.json", record)
        write_text(tmp_path / place / f"{name}.benchmark.tsv", f"s\th:m:s\n{wall}\t0:00:00\n")
        for suffix in ("json", "benchmark.tsv"):
            os.utime(tmp_path / place / f"{name}.{suffix}", (when, when))

    put(RUN, "train", 40.0, 46.0, BEGAN + 50)
    put(f"{RUN}/probes/digits-domain2", "knn+online", 10.0, 14.0, BEGAN + 60)
    put(f"{RANDOM}/probes/digits-domain2", "knn", 5.0, 10.0, BEGAN)
    earlier = RUN.replace("seed0", "seed1")
    put(earlier, "train", 1000.0, 2000.0, BEGAN - 1)
    put(f"{earlier}/probes/digits-domain2", "knn", 1000.0, 2000.0, BEGAN - 1)
    return tmp_path


@pytest.mark.parametrize("cores", [1, 2])
def test_time_is_told_in_seconds_and_in_shares_of_all_cores(results, cores):
    head, *lines = time_spent(results, BEGAN, cores).splitlines()
    assert head == f"100 s on {cores} cores; of their {100 * cores} core-seconds:"
    found = {line[2:20].strip(): tuple(float(word) for word in line[20:].split()[::2]) for line in lines}
    reported = {
        "training": 40,
        "probing": 10 + 5,
        "process start-up": (46 - 40) + (14 - 10) + (10 - 5),
        "rest": 100 * cores - 46 - 14 - 10,
    }
    assert found == {
        kind: (seconds, pytest.approx(100 * seconds / (100 * cores), abs=0.5)) for kind, seconds in reported.items()
    }
    assert sum(seconds for seconds, _ in found.values()) == 100 * cores


def test_nothing_done_since_then_is_said_plainly(results):
    assert time_spent(results, NOW, 2) == "No job had to run."
    assert time_spent(results / "nowhere", BEGAN, 2) == "No job had to run."
