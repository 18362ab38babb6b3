"""The examples of settings in the guide and on the page of strategies resolve to a plan."""

import re
from pathlib import Path

import pytest
import yaml

from cassle.plan import resolve
from cassle.settings.reading import read_study

ROOT = Path(__file__).parents[2]


def blocks(page, language):
    """Return the blocks of code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty current directory with the plugin of the guide."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "my_recipes"):
        Path(name).mkdir()
    [plugin] = blocks("config/README.md", "python")
    Path("mine/near_teacher.py").write_text(plugin)


@pytest.mark.parametrize("page", ["config/README.md", "docs/strategies.md"])
@pytest.mark.usefixtures("workspace")
def test_every_example_resolves(page):
    examples = blocks(page, "yaml")
    assert examples
    for text in examples:
        values = yaml.safe_load(text)
        if "studies" in values:
            assert read_study(values).studies
        elif "streams" in values:
            assert resolve(read_study(values)).train
        else:
            Path("my_recipes/simclr.yaml").write_text(text)
            words = {"stream": "digits-class5", "objective": "simclr", "strategy": "cassle", "recipes": "my_recipes"}
            assert resolve(read_study(words)).train
