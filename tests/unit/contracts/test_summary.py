"""study.json: what a plan writes is read, its tables have its rows, and what is no such file is refused in words."""

import json

import pytest

from cassle.contracts.records import write_record
from cassle.contracts.summary import StudyRecord, read_summary
from cassle.core.errors import CassleError, DataError
from cassle.core.files import write_json
from cassle.plan import resolve
from cassle.settings.reading import read_study
from tests.unit.reporting.made import PROBE, STREAM, summary, write_summary

ROW = {"backbone": "conv3", "epochs": 500}


def test_what_a_plan_says_of_itself_comes_back_as_it_was_and_nothing_of_it_is_left_out(tmp_path):
    words = {"streams": [STREAM], "objectives": ["simclr"], "strategies": ["cassle"], "offline": True}
    said = resolve(read_study(words)).summary()
    write_record(tmp_path / "study.json", said)
    assert read_summary(tmp_path / "study.json") == said


def test_a_table_has_the_rows_of_the_study_only():
    rows = [
        {**ROW, "stream": "a", "probe": "knn", "objective": "simclr", "strategy": "cassle"},
        {**ROW, "stream": "b", "probe": "online", "objective": "byol", "strategy": "finetune"},
    ]
    study = summary(objectives=["byol", "simclr"], streams=["a", "b"], probes=["knn", "online"], rows=rows)
    assert study.tables() == [("a", "knn"), ("b", "online")]
    assert {place: row.model_dump() for place, row in study.rows_of("a", "knn").items()} == {
        ("conv3", "simclr", "cassle"): rows[0]
    }
    assert study.rows_of("a", "online") == {}


def test_rows_come_in_the_order_of_the_lists_whichever_was_noted_first():
    rows = [
        {**ROW, "stream": STREAM, "probe": PROBE, "objective": "simclr", "strategy": strategy}
        for strategy in ("offline", "cassle", "finetune")
    ]
    names = [strategy for *_, strategy in summary(rows=rows).rows_of(STREAM, PROBE)]
    assert names == ["finetune", "cassle", "offline"]


def test_joint_training_is_on_the_stream_that_the_study_names_for_it():
    label, everything = "cifar100-class5~statistics=original", "cifar100-all~statistics=original"
    study = summary(streams=[label], joint={label: everything})
    assert study.trained_on(label, "offline") == everything
    assert study.trained_on(label, "cassle") == label


def test_a_title_names_the_preset_and_the_stream_without_what_the_preset_did_to_it():
    label = "cifar100-class5~statistics=original"
    study = summary(presets=["original"], names={label: "cifar100-class5"})
    assert study.title(label, "online") == "cifar100-class5, probe online, preset original"
    asked = summary(names={"knn~neighbors=5": "knn (neighbors=5)"})
    assert asked.title(STREAM, "knn~neighbors=5") == f"{STREAM}, probe knn (neighbors=5)"
    assert summary(presets=["default"]).title("digits-domain2", "knn") == "digits-domain2, probe knn"
    assert summary(presets=["default", "original"]).title("a", "knn") == "a, probe knn, preset default and original"


@pytest.mark.parametrize("missing", list(StudyRecord.model_fields))
def test_a_summary_that_lacks_a_key_is_refused_with_the_key(tmp_path, missing):
    said = summary().model_dump()
    del said[missing]
    write_json(tmp_path / "study.json", said)
    with pytest.raises(DataError, match=rf"study\.json: '{missing}' is missing; delete that file and run the workflow"):
        read_summary(tmp_path / "study.json")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("seeds", ["x"], r"'seeds\.0' = 'x': "),
        ("streams", STREAM, f"'streams' = '{STREAM}': "),
        ("names", [], r"'names' = \[\]: "),
        ("own_recipes", 7, "'own_recipes' = 7: must be true or false"),
        ("rows", [ROW], r"'rows\.0\.stream' is missing"),
        ("strategies", ["cassle", "offline"], r"rows\.0 has 'finetune', which none of the study's lists has"),
        ("joint", {}, rf"rows\.2 is of joint training, but 'joint' has no '{STREAM}'"),
    ],
)
def test_a_summary_that_says_something_impossible_is_refused_with_its_place(tmp_path, key, value, reason):
    write_json(tmp_path / "study.json", {**summary().model_dump(), key: value})
    with pytest.raises(DataError, match=rf"study\.json: {reason}(.|\n)*; delete that file and run the workflow again"):
        read_summary(tmp_path / "study.json")


@pytest.mark.parametrize("content", ["[]", "3", "{", "null"])
def test_what_is_no_summary_at_all_is_refused(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(CassleError, match=r"study\.json.*delete (it|that file)"):
        read_summary(tmp_path / "study.json")


def test_a_summary_that_is_not_there_is_asked_for_and_nobody_is_told_to_delete_it(tmp_path):
    with pytest.raises(CassleError, match=r"there is no .*study\.json; check the path, or run the workflow") as error:
        read_summary(tmp_path / "study.json")
    assert "delete" not in str(error.value)


def test_what_a_later_version_adds_does_not_matter(tmp_path):
    write_summary(tmp_path / "study.json")
    said = json.loads((tmp_path / "study.json").read_text())
    write_json(tmp_path / "study.json", {**said, "weather": "fine"})
    assert read_summary(tmp_path / "study.json") == summary()
