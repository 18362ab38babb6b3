"""Which numbers of a table compare runs that were executed differently."""

from __future__ import annotations

from collections.abc import Iterable

from cassle.paths import GIVEN
from cassle.reporting.frame import EXECUTION
from cassle.reporting.matrix import Cell


def unlike(cells: Iterable[Cell]) -> list[str]:
    """Return the columns of execution in which the runs of cells, all together, differ.

    Code does not count between cells, as every strategy has its own; within one it does (`Cell.mixed`). Nor does a
    first task that was given, as all strategies go on from it.
    """
    values: dict[str, set[str]] = {column: set() for column in EXECUTION if column != "code"}
    for cell in cells:
        for column, found in values.items():
            found.update(value for value in cell.execution.get(column, []) if value != GIVEN)
    return [column for column, found in values.items() if len(found) > 1]
