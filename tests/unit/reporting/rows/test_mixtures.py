"""What counts as executed differently: any column but code, over all runs of the cells that are compared."""

import pytest

from cassle.reporting.rows.frame import EXECUTION
from cassle.reporting.rows.matrix import Cell, unlike


def cell(**execution):
    return Cell("conv3", "simclr", "cassle", (0,), {}, execution=execution)


@pytest.mark.parametrize("column", [column for column in EXECUTION if column != "code"])
def test_a_column_differs_if_all_runs_together_have_several_values(column):
    assert unlike([cell(**{column: ["a"]}), cell(**{column: ["b"]})]) == [column]
    assert unlike([cell(**{column: ["a", "b"]}), cell()]) == [column]
    assert unlike([cell(**{column: ["a"]}), cell(**{column: ["a"]}), cell()]) == []


def test_code_belongs_to_the_strategy_and_is_no_difference_between_cells():
    assert unlike([cell(code=["a"]), cell(code=["b"])]) == []


def test_a_first_task_that_was_given_to_all_is_no_difference_between_them():
    assert unlike([cell(device=["cpu", "given"]), cell(device=["cpu", "given"])]) == []
    assert unlike([cell(device=["cpu", "given"]), cell(device=["H100", "given"])]) == ["device"]


def test_columns_are_named_in_the_order_of_the_table():
    assert unlike([cell(loader=["device"], preset=["default"]), cell(loader=["dali"], preset=["original"])]) == [
        "preset", "loader"
    ]  # fmt: skip
