"""What counts as executed differently: any column but code, over all runs of the methods that are compared."""

import pytest

from cassle.reporting.rows.frame import EXECUTION
from cassle.reporting.rows.matrix import Result, unlike


def method(**execution):
    return Result("conv3", "simclr", "cassle", (0,), {}, execution=execution)


@pytest.mark.parametrize("column", [column for column in EXECUTION if column != "code"])
def test_a_column_differs_if_all_runs_together_have_several_values(column):
    assert unlike([method(**{column: ["a"]}), method(**{column: ["b"]})]) == [column]
    assert unlike([method(**{column: ["a", "b"]}), method()]) == [column]
    assert unlike([method(**{column: ["a"]}), method(**{column: ["a"]}), method()]) == []


def test_code_belongs_to_the_strategy_and_is_no_difference_between_cells():
    assert unlike([method(code=["a"]), method(code=["b"])]) == []


def test_a_first_task_that_was_given_to_all_is_no_difference_between_them():
    assert unlike([method(device=["cpu", "given"]), method(device=["cpu", "given"])]) == []
    assert unlike([method(device=["cpu", "given"]), method(device=["H100", "given"])]) == ["device"]


def test_columns_are_named_in_the_order_of_the_table():
    assert unlike([method(loader=["device"], preset=["default"]), method(loader=["dali"], preset=["original"])]) == [
        "preset", "loader"
    ]  # fmt: skip
