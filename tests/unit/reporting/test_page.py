"""The report as one page: everything of the study is on it, and nothing of it lies elsewhere."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from cassle.contracts.records import write_record
from cassle.contracts.specs import TrainSpec
from cassle.reporting.figures import write_figure
from cassle.reporting.page import cost_of, write_page
from cassle.reporting.rows.benchmark import jobs_of, write_jobs
from cassle.reporting.rows.collect import collect
from cassle.reporting.rows.frame import write_runs
from tests.unit.reporting.made import (
    CASSLE,
    FINETUNE,
    OFFLINE,
    RANDOM_ROW,
    STREAM,
    training_spec,
    write_summary,
)
from tests.unit.specs import probe_record, provenance, train_record

RUN = f"{STREAM}/conv3/simclr"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += f" {data}"

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def write_results(results, strange="simclr"):
    """The files of a finished study of three strategies, as its jobs leave them."""
    run = f"{STREAM}/conv3/{strange}"
    objective = {"name": strange, "settings": {}}
    first, joint = f"{run}/first/seed0/task0", f"digits-all/conv3/{strange}/first/seed0/task0"
    places = {first: (FINETUNE[0], "f1", None, 0), joint: (OFFLINE[0], "a1", None, 0)}
    for name, matrix in (("finetune", FINETUNE), ("cassle", CASSLE)):
        places[f"{run}/{name}/seed0/task1"] = (matrix[1], name, "f1", 1)
    for place, (accuracies, checkpoint, parent, task) in places.items():
        spec = training_spec("all" if place == joint else "domain", task=task, objective=objective)
        made = provenance(TrainSpec.model_validate(spec), parent=parent, versions={"torch": "2.15.0"})
        record = train_record(made, checkpoint=checkpoint, seconds=36.0, images_per_second=1000.0)
        write_record(results / place / "train.json", record)
        write_probe(results / place, accuracies, checkpoint)
    write_probe(results / f"{STREAM}/conv3/random/seed0", RANDOM_ROW, None)


def write_probe(place, accuracies, checkpoint):
    write_record(place / "probes" / STREAM / "knn.json", probe_record({"knn": accuracies}, checkpoint))


def write_all(folder, strange="simclr", **changes):
    """Write a whole study's results, and its page; return the page's text."""
    write_results(folder, strange)
    runs, jobs, study = folder / "runs.csv", folder / "benchmark.csv", folder / "study.json"
    write_runs(runs, collect(folder))
    write_jobs(jobs, jobs_of(folder))
    write_summary(study, objectives=[strange], **changes)
    figure = folder / "studies" / "figures" / STREAM / "knn" / "bars.pdf"
    write_figure(runs, study, "bars", STREAM, "knn", figure)
    write_page(runs, study, jobs, [figure], folder / "report.html")
    return (folder / "report.html").read_text()


@pytest.fixture
def text(tmp_path):
    return write_all(tmp_path)


def test_the_page_is_well_formed_and_needs_no_other_file(text):
    page = Page(text)
    assert page.open == []
    addresses = [tag.get(key, "") for _, tag in page.tags for key in ("src", "href") if key in tag]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", text.split("<h1>")[0] + text.split("<script>")[1])
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(set(ids)) == len(ids)
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(ids)


def test_every_image_is_whole_and_says_what_it_shows(text):
    (image,) = Page(text).all("img")
    assert image["alt"] == f"bars, {STREAM}, knn"
    kind, _, data = image["src"].partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_it_has_tables_cost_settings_and_provenance(text):
    page = Page(text)
    words = " ".join(page.text.split())
    assert "3 of 3 runs finished" in words
    assert f"{STREAM}, probe knn" in words
    assert "train, cpu 4 0.04 1,000" in words  # four trainings of 36 s
    assert "torch 2.15.0" in words
    assert "da7a" in words
    assert f"{RUN}/cassle/seed0/task1 cassle f1 c0de" in words
    assert "objective: name: simclr" in words


def test_fields_carry_their_number_for_sorting(text):
    values = [float(tag["data-value"]) for tag in Page(text).all("td") if "data-value" in tag]
    assert {15.0, 70.0, 78.0, 93.0, 30.0} <= set(values)


def test_it_can_be_read_on_a_phone(text):
    page = Page(text)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    tables = [place for place, (tag, _) in enumerate(page.tags) if tag == "table"]
    assert all("scroll" in page.tags[place - 1][1]["class"] for place in tables)


def test_names_cannot_become_part_of_the_page(tmp_path):
    strange = "<script>alert(1)<b>&"
    text = write_all(tmp_path, strange.replace("/", ""), name="made-up")
    assert "alert(1)<b>" not in text
    assert len(Page(text).all("script")) == 1


def test_missing_runs_are_counted_and_marked(tmp_path):
    text = write_all(tmp_path, seeds=[0, 1])
    assert "3 of 6 runs finished" in text
    assert "1 of 2" in Page(text).text


def test_the_same_study_gives_the_same_page(tmp_path):
    assert write_all(tmp_path / "one") == write_all(tmp_path / "two")


def test_cost_is_told_per_kind_and_device(tmp_path):
    write_results(tmp_path)
    write_jobs(tmp_path / "benchmark.csv", jobs_of(tmp_path))
    from cassle.reporting.rows.benchmark import read_jobs

    cost = cost_of(read_jobs(tmp_path / "benchmark.csv"))
    assert [row[:4] for row in cost["rows"]] == [["probe, cpu", "5", "0.01", ""], ["train, cpu", "4", "0.04", "1,000"]]
    assert json.dumps(cost)
