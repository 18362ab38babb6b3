"""Published numbers: each has a source, and stands beside its own cell and no other."""

import csv
import re
from pathlib import Path

import pytest

from cassle.errors import CassleError
from cassle.files import write_json
from cassle.reporting.frame import tables_of, write_runs
from cassle.reporting.published import KINDS, published, read_published
from cassle.reporting.tables import write_tables
from cassle.runs import resolve
from cassle.settings.reading import read_study, read_yaml

from .made import rows_of, write_study

OBJECTIVES = ["simclr", "supcon", "mocov2plus", "byol", "barlow_twins", "vicreg", "swav", "dino", "supervised"]
STRATEGIES = ["finetune", "cassle", "ewc", "er", "der", "lump", "less_forget", "pod", "feature_distillation", "pfr"]
GRIDS = [
    ("cifar10-class5", "knn"),
    ("cifar100-class5", "online"),
    ("cifar100-class5", "linear"),
    ("cifar100-class5", "knn"),
    ("cifar100-class10", "online"),
    ("cifar100-class20", "knn"),
    ("cifar100-data5", "online"),
    ("imagenet100-class5", "linear"),
    ("imagenet100-class5", "linear_cached"),
    ("imagenet100-class5", "online"),
    ("imagenet100-data5", "linear"),
    ("domainnet-domain6", "linear"),
]


def test_every_row_has_a_known_kind_a_number_and_a_source():
    rows = read_published()
    assert len(rows) == 278
    assert {row["kind"] for row in rows} == set(KINDS)


@pytest.mark.parametrize(
    ("where", "letter", "value"),
    [
        (("cifar100-class5", "resnet18", "byol", "cassle", "online"), "A", 62.2),
        (("cifar100-class5", "resnet18", "supervised", "finetune", "online"), "A", 54.1),
        (("imagenet100-class5", "resnet18", "mocov2plus", "cassle", "linear"), "A", 68.8),
        (("imagenet100-class5", "resnet18", "byol", "finetune", "online"), "A", 59.0),
        (("imagenet100-class5", "resnet18", "", "random", "linear"), "A", 15.34),
        (("imagenet100-class5", "resnet18", "swav", "offline", "linear"), "A", 74.28),
        (("cifar10-class5", "resnet18", "barlow_twins", "finetune", "knn"), "A", 76.2),
        (("cifar100-class5", "resnet18", "simclr", "cassle", "online"), "2", 53.0),
    ],
)
def test_numbers_as_they_were_published(where, letter, value):
    assert published(*where)[letter].value == pytest.approx(value / 100)


def test_of_several_rows_the_most_trusted_counts():
    # The figure says 48.9, the plot data of a later paper 48.92 and solo-learn's page 65.78, which plot data call 65.8.
    assert published("cifar100-class5", "resnet18", "simclr", "finetune", "online")["A"].kind == "official"
    assert published("cifar100-class5", "resnet18", "simclr", "offline", "online")["A"].kind == "branch_tuning"


@pytest.mark.parametrize(
    "where",
    [
        ("cifar100-class5", "resnet50", "byol", "cassle", "online"),
        ("cifar100-class5", "resnet18", "byol", "cassle", "linear"),
        ("cifar100-class5", "resnet18", "byol", "cassle", ""),
        ("cifar100-class4", "resnet18", "barlow_twins", "pfr", "online"),
        ("cifar100-data5", "resnet18", "byol", "cassle", "online"),
        ("digits-domain5", "resnet18", "byol", "cassle", "online"),
        ("mine", "resnet18", "byol", "cassle", "online"),
    ],
)
def test_another_backbone_stream_or_probe_has_nothing_published(where):
    assert published(*where) == {}


def expected(stream, probe):
    """Every published A, F and T of a stream under a probe, by (objective, strategy, letter), from the file itself."""
    data_set, scenario, tasks = re.fullmatch(r"(\w+)-([a-z]+)(\d+)", stream).groups()
    letters = {"accuracy": "A", f"accuracy_after_task_{tasks}": "A", "forgetting": "F", "forward_transfer": "T"}
    found = {}
    for row in sorted(read_published(), key=lambda row: KINDS.index(row["kind"])):
        own = row["scenario"] == scenario and row["tasks"] == tasks and row["strategy"] != "none"
        joint = row["scenario"] == "all" and row["strategy"] == "offline"
        known = row["strategy"] in [*STRATEGIES, "offline"] and row["metric"] in letters
        if row["dataset"] == data_set and row["probe"] == probe and (own or joint) and known:
            found.setdefault((row["objective"], row["strategy"], letters[row["metric"]]), float(row["value"]))
    return found


@pytest.mark.parametrize(("stream", "probe"), GRIDS)
def test_a_full_grid_shows_every_published_number_beside_its_own_cell_and_no_other(stream, probe, tmp_path):
    grid = {"objectives": OBJECTIVES, "strategies": [*STRATEGIES, "offline"], "backbones": ["resnet18"]}
    tasks = int(re.search(r"\d+$", stream)[0])
    same = {"stream": stream, "probe": probe, "backbone": "resnet18"}
    rows = []
    for place, objective in enumerate(OBJECTIVES):
        for strategy in [*STRATEGIES, "offline"]:
            accuracy = 0.3 + place / 100
            last = 0 if strategy == "offline" else tasks - 1  # the last model is enough for A
            changes = {**same, "objective": objective, "tasks": tasks, "task": last}
            rows += rows_of([[accuracy] * tasks], strategy, **changes)
    runs, study = write_study(tmp_path, rows, streams=[stream], probes=[probe], **grid)
    write_tables(runs, study, stream, probe, tmp_path / "table.md")
    table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    shown = {
        (row["objective"], row["strategy"], row["metric"]): 100 * float(row["published"])
        for row in table
        if row["published"]
    }
    wanted = expected(stream, probe)
    assert shown == pytest.approx(wanted)
    assert all(row["source"] for row in table if row["published"])
    text = (tmp_path / "table.md").read_text()
    for (objective, strategy, _), value in wanted.items():
        (line,) = [line for line in text.splitlines() if re.match(rf"\| {objective} +\| {strategy} +\|", line)]
        assert re.search(rf"\| +{value:.1f} \[[a-z]\] \|", line)
    assert ("published" in text) == bool(wanted)


def test_variants_have_nothing_published_beside_them(tmp_path):
    labels = {"objectives": ["byol", "byol~epochs=2"], "strategies": ["cassle", "cassle~weight=0.5"]}
    runs, study = write_study(tmp_path, [], streams=["cifar100-class5"], backbones=["resnet18"], **labels)
    write_tables(runs, study, "cifar100-class5", "online", tmp_path / "table.md")
    table = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    found = [(row["objective"], row["strategy"]) for row in table if row["published"]]
    assert found == [("byol", "cassle")]


def test_labels_that_a_preset_made_keep_their_numbers(tmp_path):
    backbone, strategy = "resnet18~stem_padding=2", "cassle~teacher_batchnorm=batch"
    names = {backbone: "resnet18", strategy: "cassle"}
    labels = {"backbones": [backbone], "objectives": ["byol"], "strategies": [strategy], "names": names}
    runs, study = write_study(tmp_path, [], streams=["cifar100-class5"], **labels)
    write_tables(runs, study, "cifar100-class5", "online", tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert "62.2 [a]" in text
    assert "[a] results figure of the official repository" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [("official,", "hearsay,"), (",62.2,", ",,"), (",62.2,", ",162,"), (",accuracy,", ",loss,"), (',"results', ',"')],
)
def test_a_row_without_kind_number_metric_or_source_is_refused_with_its_line(tmp_path, old, new):
    head = "kind,dataset,scenario,tasks,objective,strategy,probe,metric,value,source\n"
    row = 'official,cifar100,class,5,byol,cassle,online,accuracy,62.2,"results"\n'
    file = tmp_path / "published.csv"
    file.write_text(head + row + row.replace(old, new))
    with pytest.raises(CassleError, match=r"published\.csv, line 3"):
        read_published(file)


PAPER = Path(__file__).parents[3] / "config" / "paper"
NUMBERS = [
    ("ablations", 9),
    ("cifar100_methods", 23),
    ("cifar100_strategies", 27),
    ("domainnet", 0),
    ("imagenet100_class", 22),
    ("imagenet100_data", 5),
    ("knn", 16),
    ("semi_supervised", 0),
    ("task_counts", 20),
    ("transfer", 0),
]
"""Study -> published numbers that stand in all of its tables."""


@pytest.mark.parametrize(("name", "count"), NUMBERS)
def test_a_whole_study_of_the_paper_shows_what_was_published_of_each_cell_although_its_preset_changes_labels(
    name, count, tmp_path
):
    study = resolve(read_study(read_yaml(PAPER / f"{name}.yaml"))).summary()
    names = study["names"]
    write_json(tmp_path / "study.json", study)
    found = 0
    for label, probe in tables_of(study):
        stream, tasks = names.get(label, label), int(re.search(r"class(\d+)|$", label)[1] or 5)
        cells = [row for row in study["rows"] if (row["stream"], row["probe"]) == (label, probe)]
        rows = []
        for cell in cells:
            last = 0 if cell["strategy"] == "offline" else tasks - 1
            rows += rows_of([[0.5] * tasks], **{**cell, "tasks": tasks, "task": last})
        write_runs(tmp_path / "runs.csv", rows)
        write_tables(tmp_path / "runs.csv", tmp_path / "study.json", label, probe, tmp_path / "table.md")
        table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
        beside = [row for row in table if row["published"]]
        shown = {(row["objective"], row["strategy"], row["metric"]): float(row["published"]) for row in beside}
        assert len(shown) == len(beside)
        own = {tuple(names.get(cell[key], cell[key]) for key in ("objective", "strategy")) for cell in cells}
        wanted = {place: value / 100 for place, value in expected(stream, probe).items() if place[:2] in own}
        assert shown == pytest.approx(wanted)
        assert {row["n"] for row in table if row["metric"] == "A"} == {"1"}
        assert f"# {stream}, probe {probe}, preset original" in (tmp_path / "table.md").read_text()
        found += len(shown)
    assert found == count


def test_every_study_of_the_paper_is_compared_with_what_was_published():
    assert {name for name, _ in NUMBERS} == {file.stem for file in PAPER.glob("*.yaml")} - {"all"}
