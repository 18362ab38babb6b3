"""Published numbers: each has a source, and is shown for its own method and no other."""

import csv
import json
import re
from functools import cache

import pytest

from cassle.core.errors import CassleError
from cassle.core.files import write_json
from cassle.plan import resolve
from cassle.plan.sources import RECIPES
from cassle.reporting.rows.frame import write_runs
from cassle.reporting.rows.published import KINDS, published, read_published, without_epochs
from cassle.reporting.tables.table import write_tables
from cassle.settings.reading import read_study, read_yaml
from tests.unit.reporting.made import rows_of, write_study


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


def test_variants_have_nothing_published_beside_them(tmp_path):
    labels = {"objectives": ["byol", "byol~epochs=2"], "strategies": ["cassle", "cassle~weight=0.5"]}
    runs, study = write_study(
        tmp_path, [], streams=["cifar100-class5"], probes=["online"], backbones=["resnet18"], **labels
    )
    write_tables(runs, study, "cifar100-class5", "online", tmp_path / "table.md")
    table = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    found = [(row["objective"], row["strategy"]) for row in table if row["published"]]
    assert found == [("byol", "cassle")]


def test_labels_that_a_preset_made_keep_their_numbers(tmp_path):
    backbone, strategy = "resnet18~stem_padding=2", "cassle~teacher_batchnorm=batch"
    names = {backbone: "resnet18", strategy: "cassle"}
    labels = {"backbones": [backbone], "objectives": ["byol"], "strategies": [strategy], "names": names}
    runs, study = write_study(tmp_path, [], streams=["cifar100-class5"], probes=["online"], **labels)
    write_tables(runs, study, "cifar100-class5", "online", tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text()
    assert "62.2 [a]" in text
    assert "[a] results figure of the official repository" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("official,", "hearsay,"),
        (",62.2,", ",,"),
        (",62.2,", ",162,"),
        (",accuracy,", ",loss,"),
        (",500,", ",many,"),
        (',"results', ',"'),
    ],
)
def test_a_row_without_kind_number_metric_or_source_is_refused_with_its_line(tmp_path, old, new):
    head = "kind,dataset,scenario,tasks,objective,strategy,probe,epochs,metric,value,source\n"
    row = 'official,cifar100,class,5,byol,cassle,online,500,accuracy,62.2,"results"\n'
    file = tmp_path / "published.csv"
    file.write_text(head + row + row.replace(old, new))
    with pytest.raises(CassleError, match=r"published\.csv, line 3"):
        read_published(file)


PAPER = RECIPES.parent / "paper"
MLP = "supervised (epochs=100, projector=mlp)"
SHORT, LONG = {"training": {"epochs": 2}}, {"training": {"epochs": 1000}}
CELLS = [
    # study, what is changed in it, stream, probe, objective, strategy: what was published, 50 % minus that
    ("cifar100_methods", {}, "cifar100-class5", "online", "simclr", "finetune", "48.9 [a]", "+1.1"),
    ("cifar100_methods", {}, "cifar100-class5", "online", "byol", "cassle", "62.2 [a]", "−12.2"),
    ("cifar100_methods", {}, "cifar100-class5", "online", "swav", "cassle", "57.8 [a]", "−7.8"),
    ("cifar100_methods", {}, "cifar100-class5", "online", "supervised", "finetune", "54.1 [d]", "−4.1"),
    ("cifar100_methods", {}, "cifar100-class5", "knn", "simclr", "finetune", "48.9 [a]", "+1.1"),
    ("cifar100_strategies", {}, "cifar100-class5", "online", "byol", "less_forget", "58.6 [b]", "−8.6"),
    ("imagenet100_class", {}, "imagenet100-class5", "linear", "", "random", "15.3 [a]", "+34.7"),
    ("imagenet100_class", {}, "imagenet100-class5", "linear", "mocov2plus", "cassle", "68.8 [b]", "−18.8"),
    ("imagenet100_data", {}, "imagenet100-data5", "linear", "swav", "offline", "74.3 [a]", "−24.3"),
    ("knn", {}, "cifar100-class5", "knn", MLP, "finetune", "61.9 [b]", "−11.9"),
    ("knn", {}, "cifar100-class5", "knn", MLP, "pfr", "63.6 [b]", "−13.6"),
    ("knn", {}, "imagenet100-class5", "knn", MLP, "finetune", "62.4 [b]", "−12.4"),
    ("knn", {}, "imagenet100-class5", "knn", MLP, "pfr", "65.2 [b]", "−15.2"),
    ("knn", {}, "cifar10-class5", "knn", "barlow_twins", "finetune", "76.2 [a]", "−26.2"),
    # of other epochs, so without a difference: solo-learn's 1000 beside our 500; 500 of another paper beside our 400
    ("cifar100_methods", {}, "cifar100-class5", "online", "simclr", "offline", "65.8† [b]", ""),
    ("cifar100_methods", {}, "cifar100-class5", "online", "vicreg", "offline", "68.5† [c]", ""),
    ("task_counts", {}, "cifar100-class20", "online", "byol", "offline", "70.5† [a]", ""),
    ("knn", {}, "imagenet100-class5", "knn", "barlow_twins", "cassle", "64.9† [a]", ""),
    # a training of that length gets the difference
    ("cifar100_methods", LONG, "cifar100-class5", "online", "simclr (epochs=1000)", "offline", "65.8 [a]", "−15.8"),
    # another probe, the paper's network without its projector, and a number that does not say which network it is of
    ("cifar100_methods", {}, "cifar100-class5", "linear_cached", "byol", "cassle", "", ""),
    ("cifar100_methods", {}, "cifar100-class5", "knn", "supervised", "finetune", "", ""),
    ("knn", {}, "cifar10-class5", "knn", MLP, "finetune", "", ""),
    ("knn", {}, "cifar100-class20", "knn", MLP, "finetune", "", ""),
    # a strategy with another setting; epochs, backbone and recipes of one's own, these with the same settings, too
    ("ablations", {}, "cifar100-class5", "online", "byol", "cassle (weight=2)", "", ""),
    ("ablations", {}, "cifar100-class5", "online", "byol", "cassle (teacher_batchnorm=frozen)", "", ""),
    ("cifar100_methods", SHORT, "cifar100-class5", "online", "byol (epochs=2)", "cassle", "", ""),
    ("cifar100_methods", {"backbones": ["resnet50"]}, "cifar100-class5", "online", "byol", "cassle", "", ""),
    ("cifar100_methods", {"recipes": str(RECIPES)}, "cifar100-class5", "online", "byol", "cassle", "", ""),
]
NUMBERS = [
    ("ablations", 9),
    ("cifar100_methods", 22),
    ("cifar100_strategies", 27),
    ("domainnet", 0),
    ("imagenet100_class", 22),
    ("imagenet100_data", 5),
    ("knn", 14),
    ("semi_supervised", 0),
    ("task_counts", 20),
    ("transfer", 0),
]
"""Study -> published numbers that stand in all of its tables."""


@cache
def summary_of(name, words="{}"):
    """What the tables of a study of the paper show, with some keys of it changed."""
    plan = resolve(read_study({**read_yaml(PAPER / f"{name}.yaml"), **json.loads(words)}))
    return plan.summary()


def fields_of(study, label, probe, folder):
    """(objective, strategy) -> head -> field of a study's table in which every accuracy is 50 %."""
    tasks = int(re.search(r"class(\d+)|$", label)[1] or 5)
    methods = [row.model_dump() for row in study.rows_of(label, probe).values()]
    untrained = [] if probe == "online" else [{**methods[0], "objective": "", "strategy": "random"}]
    rows = []
    for method in untrained + methods:
        last = 0 if method["strategy"] in ("offline", "random") else tasks - 1
        rows += rows_of([[0.5] * tasks], **{**method, "tasks": tasks, "task": last})
    write_json(folder / "study.json", study.model_dump())
    write_runs(folder / "runs.csv", rows)
    write_tables(folder / "runs.csv", folder / "study.json", label, probe, folder / "table.md")
    table = csv.DictReader((folder / "table.csv").read_text().splitlines())
    places = [(row["objective"], row["strategy"]) for row in table if row["metric"] == "A"]
    lines = [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[field.strip() for field in line.strip("|").split("|")] for line in lines]
    return {place: dict(zip(head, line, strict=True)) for place, line in zip(places, body, strict=True)}


@pytest.mark.parametrize(("name", "words", "stream", "probe", "objective", "strategy", "published", "gap"), CELLS)
def test_a_method_has_the_number_that_was_published_of_it_and_none_if_anything_differs(
    name, words, stream, probe, objective, strategy, published, gap, tmp_path
):
    study = summary_of(name, json.dumps(words))
    (label,) = [label for label in study.streams if study.name_of(label) == stream]
    found = fields_of(study, label, probe, tmp_path)[objective, strategy]
    assert found["A ↑"].strip("*") == "50.0"
    assert (found.get("published A", ""), found.get("A − published", "")) == (published, gap)


@pytest.mark.parametrize(("name", "count"), NUMBERS)
def test_a_whole_study_of_the_paper_has_no_other_numbers(name, count, tmp_path):
    study = summary_of(name)
    found = []
    for label, probe in study.tables():
        rows = fields_of(study, label, probe, tmp_path).values()
        found += [text for row in rows for head, text in row.items() if head.startswith("published") and text]
    assert len(found) == count


def test_every_study_of_the_paper_is_compared_with_what_was_published():
    assert {name for name, _ in NUMBERS} == {file.stem for file in PAPER.glob("*.yaml")} - {"all"}


def test_papers_that_a_study_names_are_those_that_numbers_are_from():
    named = {word for file in PAPER.glob("*.yaml") for word in re.findall(r"\d{4}\.\d{5}", file.read_text())}
    sources = " ".join(row["source"] for row in read_published())
    assert named == {"2311.13321"}
    assert all(f"arXiv {word}" in sources for word in named)


def test_the_mark_of_other_epochs_is_explained_and_the_numbers_are_in_the_csv(tmp_path):
    study = summary_of("cifar100_methods")
    fields_of(study, "cifar100-class5~statistics=original", "online", tmp_path)
    note = "† of another number of epochs per task (1000 published, 500 here), so that no difference is taken."
    assert note in (tmp_path / "table.md").read_text()
    assert note.replace("†", r"$\dagger$") in (tmp_path / "table.tex").read_text()
    table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    epochs = {
        (row["strategy"], row["epochs"], row["published_epochs"])
        for row in table
        if (row["objective"], row["metric"]) == ("swav", "A")
    }
    assert epochs == {("finetune", "500", "500"), ("cassle", "500", "500"), ("offline", "500", "1000")}


@pytest.mark.parametrize(
    ("shown", "without"),
    [
        ("byol", ("byol", False)),
        ("byol (epochs=2)", ("byol", True)),
        (MLP, ("supervised (projector=mlp)", True)),
        ("swav (freeze_epochs=2)", ("swav (freeze_epochs=2)", False)),
        ("cassle~epochs=2", ("cassle~epochs=2", False)),
    ],
)
def test_epochs_are_told_apart_from_what_else_makes_a_variant(shown, without):
    assert without_epochs(shown) == without
