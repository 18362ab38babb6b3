"""What made a result: a fingerprint of meaning, not of letters, and the versions."""

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

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
TEXTS = """
import logging
import sys
import torch.nn.functional as F
from cassle.base import objectives
from cassle.core.errors import CassleError, DataError as Damaged, Interrupted, unknown
from cassle.core.log import say
from pydantic import Field

log = logging.getLogger("cassle")


class Own(CassleError):
    pass


class Settings:
    temperature: float = Field(0.1, gt=0, description="temperature of the loss")
    mode: str = Field("bicubic", description="interpolation")
    title: str = "mean"


@objectives.register("own")
class Objective:
    title = "Own method"
    kind = "contrastive"

    def loss(self, z, name, path):
        if z is None:
            raise Damaged(f"{path} has no {name}; delete it")
        if name == "first":
            raise Own("no first one " + (f"of {name}" if path else "at all"))
        if name == "second":
            raise Interrupted("stopped here", 143) from None
        if name == "third":
            raise ValueError(f"{draw()} of {len(z)} images in {path:>{width(z)}}")
        if name == "fourth":
            raise unknown("objective", name, ["a"])
        if name == "fifth":
            raise KeyError(name)
        assert len(z) > 1, f"{name} needs two images"
        say(f"loss of {name}", sys.stderr)
        print("loss", name)
        print("a line of data", file=path)
        log.info("loss of %s", name)
        log.setLevel("INFO")
        return F.cross_entropy(z, z, reduction="mean") + F.interpolate(z, mode="bicubic", label="sum")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of cassle: method -> tools -> numbers, and a module that is not imported."""
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("temperature of the loss", "divides the scores"),
        (', description="interpolation"', ""),
        ('"Own method"', '"A method"'),
        ('    title = "Own method"\n', ""),
        ('{path} has no {name}; delete it"', '{path}: {name!r} of {name:>8} is missing, remove {path.parent}"'),
        ('f"{path} has no {name}; delete it"', '"delete it"'),
        ('"no first one "', '"none "'),
        ('f"of {name}"', '"here"'),
        ('"stopped here"', '"stopped there"'),
        (" of {len(z)} images in", " out of {len(z)} samples of"),
        ('{name} needs two images"', 'two images at least"'),
        (', f"{name} needs two images"', ""),
        ('f"loss of {name}"', '"the loss"'),
        ('print("loss", ', 'print("value", '),
        ('"loss of %s"', '"value of %s"'),
    ],
)
def test_texts_for_people_do_not_count(package, old, new):
    (package / "method.py").write_text(TEXTS)
    assert not changed(package / "method.py", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('reduction="mean"', 'reduction="sum"'),
        ('mode="bicubic"', 'mode="nearest"'),
        ('label="sum"', 'label="mean"'),
        ("Field(0.1", "Field(0.2"),
        ('Field("bicubic"', 'Field("nearest"'),
        ("gt=0", "ge=0"),
        ('title: str = "mean"', 'title: str = "sum"'),
        ('register("own")', 'register("other")'),
        ('kind = "contrastive"', 'kind = "predictive"'),
        ("class Own(CassleError)", "class Own(Exception)"),
        ("raise Own(", "raise Damaged("),
        ("if path else", "if z else"),
        ("143", "130"),
        ("{draw()} of {len(z)}", "{len(z)} of {draw()}"),
        ("{draw()} of ", ""),
        ("width(z)", "width(name)"),
        ('unknown("objective"', 'unknown("strategy"'),
        ("KeyError(name)", "KeyError(path)"),
        ("len(z) > 1", "len(z) > 2"),
        (", sys.stderr", ""),
        ('"a line of data"', '"a line"'),
        ('setLevel("INFO")', 'setLevel("DEBUG")'),
        ("        log.info", "        if z: log.info"),
    ],
)
def test_everything_else_in_code_with_texts_counts(package, old, new):
    (package / "method.py").write_text(TEXTS)
    assert changed(package / "method.py", old, new)


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ("from other import Field", "temperature of the loss", "mode"),
        ("from other import say", "loss of {name}", "mode"),
        ("from other import DataError as Damaged", "; delete it", "mode"),
        ("def print(*parts): return eval(*parts)", 'print("loss"', 'print("mode"'),
        ("class ValueError: pass", " images in ", " mode "),
        ("log = other()", "loss of %s", "mode"),
    ],
)
def test_another_function_of_that_name_has_no_texts_but_values(package, line, old, new):
    removed = ("from cassle.core.log import say", "from pydantic import Field", 'log = logging.getLogger("cassle")')
    text = TEXTS.replace("DataError as Damaged, ", "")
    for found in removed:
        text = text.replace(found, "")
    (package / "method.py").write_text(text + "\n" + line + "\n")
    assert changed(package / "method.py", old, new)


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [("Own method", "A method", True), ("temperature of the loss", "scale", False), ("; delete it", "", False)],
)
def test_of_texts_tables_and_pages_count_the_titles_alone(package, old, new, counts):
    (package / "method.py").write_text(TEXTS)
    before = code_of("cassle.method")
    rewrite(package / "method.py", TEXTS.replace(old, new))
    assert (code_of("cassle.method") != before) == counts


@pytest.mark.parametrize("name", [*provenance.EXECUTION, provenance.MONITOR])
def test_a_module_that_only_executes_does_not_count_for_results(package, name):
    file = package / (name if name.endswith(".py") else name + "status.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("from cassle.aside import NOTHING\n")
    method = package / "method.py"
    method.write_text(f"import {'.'.join(file.relative_to(package.parent).with_suffix('').parts)}\n")
    result, shown = code_fingerprint([method]), code_of("cassle.method")
    rewrite(file, "from cassle.aside import NOTHING as SOMETHING\n")
    rewrite(package / "aside.py", "NOTHING = 1\n")
    assert code_fingerprint([method]) == result
    assert (code_of("cassle.method") != shown) == (name == provenance.MONITOR)


def test_the_modules_that_only_execute_exist():
    real = Path(provenance.__file__).parents[1]
    assert all((real / name).exists() for name in (*provenance.EXECUTION, provenance.MONITOR))


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


@pytest.fixture(scope="module")
def real_package(tmp_path_factory):
    """A copy of the package whose files a test may change."""
    source, copy = Path(provenance.__file__).parents[1], tmp_path_factory.mktemp("real") / "cassle"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


METHODS = ("objectives/byol.py", "strategies/cassle.py", "distillations/predictive.py", "data/datasets/digits.py")


@pytest.fixture
def edited(real_package, monkeypatch):
    """Function from a file of the package, a text in it and another one to whether they give other training code."""
    monkeypatch.setattr(provenance, "__file__", str(real_package / "core" / "provenance.py"))
    roots = [real_package / name for name in ("training/train_task.py", *METHODS)]

    def differs(name, old, new):
        file = real_package / name
        text, before = file.read_text(), code_fingerprint(roots)
        assert old in text
        rewrite(file, text.replace(old, new))
        try:
            return code_fingerprint(roots) != before
        finally:
            rewrite(file, text)

    return differs


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("settings/recipe.py", 'description="learning rate of', 'description="step size of'),
        ("settings/recipe.py", "must divide batch_size", "is no divisor of batch_size"),
        ("data/streams.py", "class_order must name each class", "name each class in class_order"),
        ("data/base.py", "The base class of datasets", "A base class of datasets"),
        ("core/log.py", "flush=True", "flush=False"),
        ("runtime/locks.py", "import os", "import os, sys"),
        ("runtime/signals.py", "SIGHUP", "SIGUSR1"),
        ("runtime/launch.py", "POLL = 0.1", "POLL = 0.2"),
    ],
)
def test_texts_and_execution_in_the_real_package_do_not_count(edited, name, old, new):
    assert not edited(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("objectives/byol.py", "dim=1).mean()", "dim=1).sum()"),
        ("objectives/byol.py", 'register("byol")', 'register("byol2")'),
        ("data/loaders/torchvision.py", "InterpolationMode.BICUBIC", "InterpolationMode.BILINEAR"),
        ("data/datasets/digits.py", 'mode="bicubic"', 'mode="bilinear"'),
        ("data/view_settings.py", "Field(0.8, ge=0, le=1", "Field(0.7, ge=0, le=1"),
        ("settings/recipe.py", "Field(0.9, ge=0, lt=1", "Field(0.8, ge=0, lt=1"),
        ("runtime/distributed.py", "ReduceOp.MAX", "ReduceOp.MIN"),
    ],
)
def test_a_change_of_meaning_in_the_real_package_counts(edited, name, old, new):
    assert edited(name, old, new)


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
