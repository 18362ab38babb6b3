"""What made a result: a fingerprint of meaning, not of letters, and the versions."""

import importlib.metadata
import os
import platform

import pytest

from cassle.core import provenance
from cassle.core.errors import CassleError
from cassle.core.provenance import class_file, code_fingerprint, code_of, versions

METHOD = '''"""A method."""

from cassle.tools import scale
from other import unrelated


def loss(z):
    """Return the loss."""
    # a comment
    return scale(z) * 3
'''
TOOLS = """import cassle.numbers


def scale(z):
    return cassle.numbers.TWO * z
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of cassle: method -> tools -> numbers, and a module nobody imports."""
    folder = tmp_path / "cassle"
    (folder / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "method.py": METHOD,
        "tools.py": TOOLS,
        "numbers.py": "TWO = 2\n",
        "aside.py": "NOTHING = 0\n",
        "deep/__init__.py": '"""A folder."""\nfrom cassle.deep.well import WATER\n',
        "deep/well.py": "WATER = 1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(provenance, "__file__", str(folder / "core" / "provenance.py"))
    return folder


def rewrite(file, text):
    """Write a file anew; clocks of file systems are coarse, so its time is moved on by hand."""
    then = file.stat().st_mtime_ns
    file.write_text(text)
    os.utime(file, ns=(then, then + 10**9))


def changed(file, old, new):
    """Change a file and tell whether the fingerprint of the method notices."""
    method = file.parent / "method.py"
    before = code_fingerprint([method])
    text = file.read_text()
    assert old in text
    rewrite(file, text.replace(old, new))
    return code_fingerprint([method]) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    # a comment\n", "    # another one\n\n"),
        ('    """Return the loss."""\n', '    """Return something else entirely."""\n'),
        ('    """Return the loss."""\n', ""),
        ('"""A method."""\n', ""),
        ("return scale(z) * 3", "return (scale( z )\n            * 3)"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("* 3", "* 0x3"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(package, old, new):
    assert not changed(package / "method.py", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [("* 3", "* 4"), ("* 3", "* 3.0"), ("* 3", "+ 3"), ("scale(z)", "scale(-z)"), ("def loss(z)", "def loss(z, w=1)")],
)
def test_a_change_of_meaning_counts(package, old, new):
    assert changed(package / "method.py", old, new)


@pytest.mark.parametrize(("file", "old", "new"), [("tools.py", "* z", "+ z"), ("numbers.py", "2", "3")])
def test_a_change_in_a_module_imported_directly_or_by_another_counts(package, file, old, new):
    assert changed(package / file, old, new)


def test_a_comment_in_an_imported_module_does_not_count(package):
    assert not changed(package / "numbers.py", "TWO = 2", "TWO = 2  # one and one")


def test_a_module_that_is_not_imported_does_not_count(package):
    assert not changed(package / "aside.py", "0", "1")


@pytest.mark.parametrize(
    "line",
    [
        "import cassle.aside",
        "import cassle.aside as other",
        "from cassle import aside",
        "from cassle.aside import NOTHING",
        "if True:\n    from cassle.aside import NOTHING",
        "def later():\n    from cassle.aside import NOTHING",
    ],
)
def test_every_way_to_import_a_module_counts(package, line):
    method = package / "method.py"
    method.write_text(METHOD + "\n" + line + "\n")
    assert changed(package / "aside.py", "0", "1")


def test_a_folder_is_followed_through_its_face(package):
    method = package / "method.py"
    method.write_text("from cassle.deep import WATER\n")
    before = code_fingerprint([method])
    rewrite(package / "deep" / "well.py", "WATER = 2\n")
    assert code_fingerprint([method]) != before


def test_modules_that_import_each_other_have_a_fingerprint(package):
    (package / "numbers.py").write_text("import cassle.tools\nTWO = 2\n")
    assert changed(package / "numbers.py", "TWO = 2", "TWO = 3")


def test_the_order_and_repetition_of_files_do_not_count(package):
    one, other = package / "aside.py", package / "numbers.py"
    assert code_fingerprint([one, other]) == code_fingerprint([str(other), one, other])
    assert code_fingerprint([one, other]) != code_fingerprint([one])


def test_where_the_package_lies_does_not_count(package, tmp_path, monkeypatch):
    here = code_fingerprint([package / "method.py"])
    moved = package.rename(tmp_path / "elsewhere")
    (tmp_path / "new").mkdir()
    moved = moved.rename(tmp_path / "new" / "cassle")
    monkeypatch.setattr(provenance, "__file__", str(moved / "core" / "provenance.py"))
    assert code_fingerprint([moved / "method.py"]) == here


def test_a_plugin_counts_with_the_modules_of_the_package_it_imports(package, tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from cassle.numbers import TWO\n")
    before = code_fingerprint([plugin])
    rewrite(package / "numbers.py", "TWO = 5\n")
    between = code_fingerprint([plugin])
    rewrite(plugin, "from cassle.numbers import TWO\nTWO += 1\n")
    assert len({before, between, code_fingerprint([plugin])}) == 3


def test_plugins_of_one_name_in_two_folders_both_count(package, tmp_path):
    files = [tmp_path / folder / "method.py" for folder in ("one", "two")]
    for number, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(f"VALUE = {number}\n")
    before = code_fingerprint(files)
    rewrite(files[0], "VALUE = 7\n")
    between = code_fingerprint(files)
    rewrite(files[1], "VALUE = 8\n")
    assert len({before, between, code_fingerprint(files)}) == 3


def test_modules_are_named_without_being_imported(package):
    (package / "numbers.py").write_text("TWO = 2\nraise RuntimeError\n")
    assert code_of("cassle.method") == code_fingerprint([package / "method.py"])
    assert code_of("cassle.deep") == code_fingerprint([package / "deep" / "__init__.py"])


def test_a_fingerprint_of_the_real_package_is_sixteen_digits():
    found = code_of("cassle.data.streams")
    assert len(found) == 16
    assert int(found, 16) >= 0
    assert found == code_of("cassle.data.streams")
    assert found != code_of("cassle.data.loaders.device")


def test_a_class_is_found_in_the_file_it_was_written_in():
    assert class_file(CassleError).name == "errors.py"
    assert class_file(CassleError).parent.name == "core"

    class Own:
        pass

    assert class_file(Own).name == "test_provenance.py"


def test_versions_are_those_of_python_and_the_installed_libraries():
    found = versions()
    assert found.pop("python") == platform.python_version()
    assert {"torch", "torchvision", "numpy"} <= set(found)
    assert found == {name: importlib.metadata.version(name) for name in found}
