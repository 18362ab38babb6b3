"""runs.csv: what is written is read, and what is no such file is refused in words."""

import math

import pandas as pd
import pytest

from cassle.errors import CassleError, DataError
from cassle.files import write_json
from cassle.reporting.frame import (
    COLUMNS,
    EXECUTION,
    read_runs,
    read_summary,
    rows_of,
    tables_of,
    title_of,
    write_runs,
)
from cassle.reporting.jobs import read_jobs

from .made import PROBE, STREAM, all_rows, summary
from .made import rows_of as made_rows


def read_back(tmp_path, rows):
    write_runs(tmp_path / "runs.csv", rows)
    return read_runs(tmp_path / "runs.csv")


def test_rows_come_back_as_they_were(tmp_path):
    rows = all_rows()
    pd.testing.assert_frame_equal(read_back(tmp_path, rows), pd.DataFrame(rows))


@pytest.mark.parametrize("accuracy", [1 / 3, 0.1 + 0.2, 5e-324, 1.0, 0.0])
def test_accuracies_keep_every_digit(tmp_path, accuracy):
    assert read_back(tmp_path, made_rows([[accuracy]], "cassle"))["accuracy"].tolist() == [accuracy]


def test_an_accuracy_that_is_missing_comes_back_as_nan(tmp_path):
    assert math.isnan(read_back(tmp_path, made_rows([[float("nan")]], "cassle"))["accuracy"][0])


@pytest.mark.parametrize("text", ["NA", "null", "nan", "None", "", "0123", "1e5", 'a "b", c', "größer"])
def test_texts_stay_texts_even_if_they_look_like_something_else(tmp_path, text):
    row = read_back(tmp_path, made_rows([[0.5]], "cassle", code=text, checkpoint=text, task_name=text)).iloc[0]
    assert [row["code"], row["checkpoint"], row["task_name"]] == [text] * 3


def test_no_rows_make_an_empty_table_with_all_columns(tmp_path):
    frame = read_back(tmp_path, [])
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 0


def test_the_same_rows_make_the_same_bytes_and_lines_end_alike_everywhere(tmp_path):
    for name in ("one", "two"):
        write_runs(tmp_path / name, all_rows())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert b"\r" not in (tmp_path / "one").read_bytes()


def test_a_table_has_the_rows_of_the_study_only():
    rows = [
        {"stream": "a", "probe": "knn", "backbone": "conv3", "objective": "simclr", "strategy": "cassle"},
        {"stream": "b", "probe": "online", "backbone": "conv3", "objective": "byol", "strategy": "finetune"},
    ]
    study = summary(objectives=["byol", "simclr"], streams=["a", "b"], probes=["knn", "online"], rows=rows)
    assert tables_of(study) == [("a", "knn"), ("b", "online")]
    assert rows_of(study, "a", "knn") == [("conv3", "simclr", "cassle")]
    assert rows_of(study, "a", "online") == []


def test_without_rows_every_combination_is_one():
    assert tables_of(summary()) == [(STREAM, PROBE)]
    assert rows_of(summary(), STREAM, PROBE) == [
        ("conv3", "simclr", name) for name in ("finetune", "cassle", "offline")
    ]


def test_a_title_names_the_preset_and_the_stream_without_what_the_preset_did_to_it():
    label = "cifar100-class5~statistics=original"
    study = summary(presets=["original"], names={label: "cifar100-class5"})
    assert title_of(study, label, "online") == "cifar100-class5, probe online, preset original"
    asked = summary(names={"knn~neighbours=5": "knn (neighbours=5)"})
    assert title_of(asked, STREAM, "knn~neighbours=5") == f"{STREAM}, probe knn (neighbours=5)"
    assert title_of(summary(presets=["clean"]), "digits-domain2", "knn") == "digits-domain2, probe knn"


def test_columns_of_execution_are_columns():
    assert set(EXECUTION) <= set(COLUMNS)


GOOD = pd.DataFrame(all_rows()).to_csv(index=False)
HEADER, FIRST, *_ = GOOD.splitlines()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No columns"),
        (b"\x00\xff\xfe\x80", "cannot read"),
        (b"a,b\n1,2\n", "not a table of runs .it lacks accuracy, backbone, "),
        (HEADER.replace(",seed,", ",sead,").encode(), "lacks seed"),
        ("\n".join([HEADER, FIRST.replace("0.1", "good")]).encode(), "good"),
        ("\n".join([HEADER, FIRST + ",1,2"]).encode(), "runs.csv"),
    ],
    ids=["empty", "binary", "another table", "renamed column", "text for a number", "too many fields"],
)
def test_a_bad_file_is_refused_with_its_name_the_reason_and_what_to_do(tmp_path, content, reason):
    file = tmp_path / "runs.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        read_runs(file)
    assert str(file) in str(error.value)
    assert str(error.value).endswith("delete it and run `cassle collect`")


@pytest.mark.parametrize("read", [read_runs, read_jobs])
def test_a_missing_file_is_refused_with_its_name_and_nobody_is_told_to_delete_it(tmp_path, read):
    with pytest.raises(DataError, match=r"there is no .*runs\.csv; check the path, or run `cassle collect") as error:
        read(tmp_path / "runs.csv")
    assert "delete" not in str(error.value)


def test_a_summary_comes_back_as_it_was(tmp_path):
    write_json(tmp_path / "study.json", summary())
    assert read_summary(tmp_path / "study.json") == summary()


@pytest.mark.parametrize("missing", ["name", "backbones", "objectives", "strategies", "seeds"])
def test_a_summary_that_lacks_what_tables_need_is_refused(tmp_path, missing):
    write_json(tmp_path / "study.json", {key: value for key, value in summary().items() if key != missing})
    with pytest.raises(DataError, match=r"study\.json does not describe a study; delete it"):
        read_summary(tmp_path / "study.json")


@pytest.mark.parametrize("content", ["[]", "3", "{", "null"])
def test_what_is_no_summary_at_all_is_refused(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(CassleError, match=r"study\.json.*delete it"):
        read_summary(tmp_path / "study.json")


def test_tables_are_those_of_the_rows_of_a_study_or_else_all_pairs():
    study = {"streams": ["a", "b"], "probes": ["knn", "online"]}
    assert tables_of(study) == [("a", "knn"), ("a", "online"), ("b", "knn"), ("b", "online")]
    rows = [{"stream": "b", "probe": "knn"}, {"stream": "a", "probe": "online"}, {"stream": "b", "probe": "knn"}]
    assert tables_of({**study, "rows": rows}) == [("b", "knn"), ("a", "online")]
