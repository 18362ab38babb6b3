"""runs.csv: what is written is read, and what is no such file is refused in words."""

import math

import pandas as pd
import pytest

from cassle.core.errors import DataError
from cassle.reporting.rows.benchmark import read_jobs
from cassle.reporting.rows.frame import COLUMNS, EXECUTION, read_runs, write_runs
from tests.unit.reporting.made import all_rows, rows_of


def read_back(tmp_path, rows):
    write_runs(tmp_path / "runs.csv", rows)
    return read_runs(tmp_path / "runs.csv")


def test_rows_come_back_as_they_were(tmp_path):
    rows = all_rows()
    pd.testing.assert_frame_equal(read_back(tmp_path, rows), pd.DataFrame(rows))


@pytest.mark.parametrize("accuracy", [1 / 3, 0.1 + 0.2, 5e-324, 1.0, 0.0])
def test_accuracies_keep_every_digit(tmp_path, accuracy):
    assert read_back(tmp_path, rows_of([[accuracy]], "cassle"))["accuracy"].tolist() == [accuracy]


def test_an_accuracy_that_is_missing_comes_back_as_nan(tmp_path):
    assert math.isnan(read_back(tmp_path, rows_of([[float("nan")]], "cassle"))["accuracy"][0])


@pytest.mark.parametrize("text", ["NA", "null", "nan", "None", "", "0123", "1e5", 'a "b", c', "größer"])
def test_texts_stay_texts_even_if_they_look_like_something_else(tmp_path, text):
    row = read_back(tmp_path, rows_of([[0.5]], "cassle", code=text, checkpoint=text, task_name=text)).iloc[0]
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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("accuracy", 7.5),
        ("accuracy", -0.1),
        ("accuracy", float("inf")),
        ("task_aware", 62.5),
        ("task", -1),
        ("evaluated_task", -1),
        ("tasks", 0),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_its_line(tmp_path, column, value):
    rows = all_rows()
    rows[2][column] = value
    write_runs(tmp_path / "runs.csv", rows)
    message = rf"runs\.csv, line 4: {column} = {value}.*; delete it and run `cassle collect`"
    with pytest.raises(DataError, match=message):
        read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("read", [read_runs, read_jobs])
def test_a_missing_file_is_refused_with_its_name_and_nobody_is_told_to_delete_it(tmp_path, read):
    with pytest.raises(DataError, match=r"there is no .*runs\.csv; check the path, or run `cassle collect") as error:
        read(tmp_path / "runs.csv")
    assert "delete" not in str(error.value)
