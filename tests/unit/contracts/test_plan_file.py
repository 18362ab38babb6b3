"""The plan file: a job reads what the main process resolved, and a damaged file is one message with the remedy."""

import json

import pytest

from cassle.contracts.layout import index_file, split_file
from cassle.contracts.plan_file import JobPlan
from cassle.core.errors import DataError
from cassle.plan import targets
from tests.unit.contracts.damage import DAMAGED, REMEDY, damage_first_line
from tests.unit.plan.world import plan

ODD_ROOT = "it's a\u2028place\x85of {mine}"
CHANGES = {
    "name": "mine",
    "strategies": ["finetune", "cassle+er"],
    "offline": True,
    "probes": ["knn", "online"],
    "features": ["pca"],
    "figures": ["bars"],
    "data_root": ODD_ROOT,
}


@pytest.fixture(scope="module")
def made():
    return plan(**CHANGES)


@pytest.fixture
def file(made, tmp_path):
    targets.plan_file(made).write(tmp_path / "plan.json")
    return tmp_path / "plan.json"


def test_every_job_is_read_as_it_was_planned(made, file):
    stored = JobPlan(file)
    assert all((made.train, made.memory, made.probe))
    assert all(stored.train_job(folder) == job for folder, job in made.train.items())
    assert all(stored.memory_job(folder) == job for folder, job in made.memory.items())
    assert all(stored.probe_job(name) == job for name, job in made.probe.items())
    assert all(stored.stream(name) == stream for name, stream in made.streams.items())
    assert {stored.stream_of_index(stream.index).index for stream in made.streams.values()} == {"digits"}
    assert stored.study("mine") == made.summary()
    assert stored.site == made.study.site()
    assert stored.site.data_root == ODD_ROOT
    assert stored.figures("mine") == targets.figures(made)
    assert stored.features("mine", "digits-domain3") == targets.features(made, "digits-domain3")
    assert stored.features("mine", "digits-class2") == stored.figures("other") == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (lambda stored: stored.train_job("results/x"), "results/x"),
        (lambda stored: stored.memory_job("results/x"), "results/x"),
        (lambda stored: stored.probe_job("results/x.json"), r"results/x\.json"),
        (lambda stored: stored.stream("digits-class2"), split_file("digits-class2")),
        (lambda stored: stored.stream_of_index("cifar10"), index_file("cifar10")),
        (lambda stored: stored.study("other"), "study 'other'"),
    ],
)
def test_what_is_not_planned_is_refused_by_its_path(file, asked, named):
    with pytest.raises(DataError, match=rf"^{named} is not part of the plan .*plan\.json; run the workflow again"):
        asked(JobPlan(file))


def test_a_missing_plan_file_is_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*plan\.json; run the workflow, which writes it"):
        JobPlan(tmp_path / "plan.json")


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_plan_file_is_one_message_with_its_name_and_the_remedy(file, how):
    damage_first_line(file, how)
    with pytest.raises(DataError, match=rf"plan\.json(.|\n)*{REMEDY}$"):
        JobPlan(file)


@pytest.mark.parametrize("value", ["{}", "[]", "null", "3", '{"at": 1', '{"at": [[1]], "spec": {}, "gpus": {}}'])
def test_a_damaged_entry_is_one_message_with_the_name_of_the_file_and_the_remedy(made, file, value):
    head, *lines = file.read_text().split("\n")
    damaged = [f"{line[: line.index('{')]}{value}]" for line in lines if line]
    file.write_text("\n".join([head, *damaged]))
    stored, folder, probe = JobPlan(file), next(iter(made.train)), next(iter(made.probe))
    for read in (
        lambda: stored.train_job(folder),
        lambda: stored.memory_job(next(iter(made.memory))),
        lambda: stored.probe_job(probe),
        lambda: stored.stream("digits-domain3"),
        lambda: stored.stream_of_index("digits"),
        lambda: stored.study("mine"),
    ):
        with pytest.raises(DataError, match=rf"plan\.json(.|\n)*{REMEDY}$"):
            read()


def test_of_half_a_file_no_job_is_read_as_another(made, file):
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    stored, refused = JobPlan(file), []
    for folder, job in made.train.items():
        try:
            assert stored.train_job(folder) == job
        except DataError as error:
            refused.append(str(error))
    for message in refused:
        assert "plan.json" in message
        assert "run the workflow again" in message
    with pytest.raises(DataError, match=r"study 'mine' is not part of the plan .*plan\.json; run the workflow again"):
        stored.study("mine")


def test_an_entry_is_one_line_of_json(made, file):
    lines = file.read_text().split("\n")
    assert lines.pop() == ""
    kinds = [json.loads(line)[0] for line in lines[1:]]
    assert [kinds.count(kind) for kind in ("stream", "train", "memory", "probe", "study")] == [
        *(len(found) for found in (made.streams, made.train, made.memory, made.probe)),
        1,
    ]
