"""Registries: found by file, nearest names, one owner per name, plugins."""

import re
import sys

import pytest

from cassle.core.errors import SettingsError
from cassle.core.registry import Registry, load_plugins
from cassle.data.base import datasets
from cassle.objectives.base import objectives
from cassle.strategies.base import strategies

ENTRY = """
from shared import tools
@tools.register("{name}")
def {function}():
    return "{name} of {{}}".format(__name__)
"""


@pytest.fixture(autouse=True)
def imports():
    """Modules a test imports are forgotten after it."""
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith(("toolbox", "shared", "cassle_plugin_")):
            del sys.modules[name]


@pytest.fixture
def toolbox(tmp_path, monkeypatch):
    """A package of one file per tool, and the registry it fills."""
    (tmp_path / "shared.py").write_text(
        "from cassle.core.registry import Registry\ntools = Registry('tool', 'toolbox')\n"
    )
    folder = tmp_path / "toolbox"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name in ("hammer", "saw"):
        (folder / f"{name}.py").write_text(ENTRY.format(name=name, function=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    from shared import tools

    return tools, folder


def plugin(path, name, function="made"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(ENTRY.format(name=name, function=function))
    return path


def test_every_file_of_the_package_is_found_at_the_first_look_up(toolbox):
    tools, _ = toolbox
    assert "toolbox.hammer" not in sys.modules
    assert tools.names() == ["hammer", "saw"]
    assert tools.get("saw")() == "saw of toolbox.saw"


def test_a_new_file_is_all_that_a_new_entry_takes(toolbox):
    tools, folder = toolbox
    plugin(folder / "drill.py", "drill")
    assert tools.names() == ["drill", "hammer", "saw"]


@pytest.mark.parametrize(
    ("name", "hint"), [("hamer", "did you mean 'hammer'?"), ("sav", "did you mean 'saw'?"), ("?", "known: hammer, saw")]
)
def test_an_unknown_name_is_answered_with_the_nearest(toolbox, name, hint):
    tools, _ = toolbox
    with pytest.raises(SettingsError, match=re.escape(f"there is no tool '{name}': {hint}")):
        tools.get(name)


def test_a_second_owner_of_a_name_is_refused(toolbox, tmp_path):
    tools, _ = toolbox
    first = tools.get("hammer")
    with pytest.raises(SettingsError, match="two tools are called 'hammer'"):
        load_plugins([plugin(tmp_path / "my_tools.py", "hammer")])
    assert tools.get("hammer") is first


def test_a_module_run_again_may_file_its_entry_again():
    registry = Registry("tool", "toolbox")
    for _ in range(2):

        @registry.register("own")
        def own():
            return 1


def test_a_registered_thing_stays_what_it_is():
    class Thing:
        pass

    assert Registry("tool", "toolbox").register("thing")(Thing) is Thing


def test_a_plugin_adds_names_of_its_own(toolbox, tmp_path):
    tools, _ = toolbox
    load_plugins([plugin(tmp_path / "my_tools.py", "laser")])
    assert tools.names() == ["hammer", "laser", "saw"]
    assert tools.get("laser")().startswith("laser of cassle_plugin_my_tools")


def test_a_plugin_file_is_loaded_once(tmp_path):
    file, log = tmp_path / "counting.py", tmp_path / "log"
    file.write_text(f"open({str(log)!r}, 'a').write('loaded ')")
    load_plugins([file, str(file)])
    load_plugins([file])
    assert log.read_text() == "loaded "


def test_plugin_files_of_one_name_in_two_folders_are_both_loaded(toolbox, tmp_path):
    tools, _ = toolbox
    load_plugins([plugin(tmp_path / "one" / "method.py", "laser"), plugin(tmp_path / "two" / "method.py", "plane")])
    assert tools.names() == ["hammer", "laser", "plane", "saw"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def broken(:", "SyntaxError: "),
    ],
)
def test_a_broken_plugin_is_named_with_its_error_and_tried_again(tmp_path, code, reason):
    file = tmp_path / "broken.py"
    file.write_text(code)
    for _ in range(2):
        with pytest.raises(SettingsError, match=re.escape(f"plugin {file} cannot be imported: {reason}")):
            load_plugins([file])
    file.write_text("fine = True")
    load_plugins([file])


@pytest.mark.parametrize("name", ["missing.py", "notes.txt", "folder.py"])
def test_a_plugin_that_is_no_python_file_is_refused(tmp_path, name):
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(SettingsError, match=f"plugin {tmp_path / name} is not a readable Python file"):
        load_plugins([tmp_path / name])


def test_a_plugin_that_begins_like_the_packages_own_names_replaces_none_of_them(toolbox, tmp_path):
    tools, _ = toolbox
    load_plugins([plugin(tmp_path / "saw.py", "fretsaw")])
    assert tools.get("saw")() == "saw of toolbox.saw"
    assert tools.get("fretsaw")().startswith("fretsaw of cassle_plugin_saw")


@pytest.mark.parametrize("name", ["../hammer", "a/b", "-hammer", "two words", "hammer+saw", "a~b", "a,b", "", "x" * 65])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(name):
    with pytest.raises(SettingsError, match=re.escape(f"tool '{name}': a name has up to 64 letters, digits, _ and -")):
        Registry("tool", "toolbox").register(name)(object)


def test_names_that_mean_something_else_in_results_are_refused():
    for registry, names in ((strategies, ("first", "offline", "random")), (objectives, ("random",))):
        for name in names:
            with pytest.raises(
                SettingsError, match=f"{registry.kind} '{name}': this name means something else in results"
            ):
                registry.register(name)(object)


@pytest.mark.parametrize("name", ["my-circles", "Circles", "a b"])
def test_a_dataset_that_no_stream_could_name_is_refused(name):
    with pytest.raises(SettingsError, match=f"dataset '{name}': a name has up to 64 small letters, digits"):
        datasets.register(name)(object)
