"""The pages that quote messages are true: each one exists, in this project's source or in Snakemake's."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OURS = "cassle", "workflow"
THEIRS = {
    "snakemake": ("exceptions.py", "common/__init__.py", "scheduling/job_scheduler.py"),
    "snakemake_executor_plugin_slurm": ("__init__.py",),
}
OF_PYTHON = {"FileNotFoundError: ... 'results/...'", "invalid choice: 'slurm'"}
"""Messages that neither writes itself."""
ANY = "\0"
"""What stands in a message for that which is filled in."""


def quoted(page: str) -> list[str]:
    """Return the first code of every row of a table of messages."""
    rows = re.findall(r"^\| message \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", (REPOSITORY / page).read_text(), re.MULTILINE)
    return [re.match(r"\| `(.+?)` \|", row)[1] for table in rows for row in table.splitlines()]


def texts(source: str) -> list[str]:
    """Return every text in Python code, with a sign in place of each value that is filled in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else ANY for part in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@cache
def messages() -> list[str]:
    """Return the texts of this project and of the files of Snakemake that say what people read."""
    files = [file for folder in OURS for file in (REPOSITORY / folder).rglob("*.py")]
    for package, names in THEIRS.items():
        [place] = importlib.util.find_spec(package).submodule_search_locations
        files += [Path(place) / name for name in names]
    found = [text for file in files for text in texts(file.read_text())]
    for file in (REPOSITORY / "workflow").rglob("*.smk"):  # rules are no Python: the texts alone
        found += [re.sub(r"{.*?}", ANY, text) for text in re.findall(r'"([^"\n]+)"', file.read_text())]
    return found


def says(message: str, text: str) -> bool:
    """Return whether a text of the source holds the fixed parts of a message, in their order."""
    pieces = [piece for piece in re.split(r"\.\.\.|\b[A-Z][A-Z_]*\b", message) if piece.strip()]
    place = 0
    for piece in pieces:
        place = text.find(piece.strip(), place)
        if place < 0:
            return False
        place += len(piece.strip())
    return bool(pieces)


def test_nothing_advises_to_set_a_key_of_a_group_with_a_dot_which_snakemake_refuses():
    dotted = re.compile(r"\b(?:execution|training|data|wandb)\.[a-z_.]+ ?=(?!=)")
    pages = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("*/README.md")]
    assert len(pages) > 10
    told = [*messages(), *(page.read_text() for page in pages)]
    assert [match[0] for text in told for match in dotted.finditer(text)] == []
    assert dotted.search("take execution.precision=fp32")


@pytest.mark.parametrize("page", ["docs/troubleshooting.md", "docs/data.md"])
def test_every_message_that_a_page_explains_exists(page):
    missing = [message for message in quoted(page) if message not in OF_PYTHON]
    missing = [message for message in missing if not any(says(message, text) for text in messages())]
    assert len(quoted(page)) > 5
    assert missing == []


def test_a_message_that_nothing_says_would_be_found():
    assert says("cannot write FILE: ...; make room", f"cannot write {ANY}: {ANY}; make room or fix")
    assert not any(says("cannot find FILE: make space", text) for text in messages())
