"""Every case of every golden file is compared by some test of this folder."""

from importlib import import_module
from pathlib import Path

from .files import load

HERE = Path(__file__).parent
NEVER_COMPUTED = {"metrics": ["mean"]}
"""Cases without a counterpart here: accuracies are counted over all images, not averaged over batches."""


def compared():
    """Return the rows in the marks of all tests of this folder."""
    modules = [import_module(f"{__package__}.{file.stem}") for file in sorted(HERE.glob("test_*.py"))]
    marks = [mark for module in modules for value in vars(module).values() for mark in getattr(value, "pytestmark", [])]
    return [row for mark in marks if mark.name == "golden" for row in mark.args]


def test_every_case_of_every_file_is_compared(pytestconfig):
    folder, rows = pytestconfig.getoption("golden_dir"), compared()
    names = {str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.npz")}
    assert names == {row.file for row in rows}
    for name in names:
        cases = [case for case in load(folder, name).values() if case.name != "shared"]
        missed = [case.name for case in cases if not any(row.file == name and row.takes(case) for row in rows)]
        assert missed == NEVER_COMPUTED.get(name, []), name
