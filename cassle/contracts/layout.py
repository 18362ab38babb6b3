"""Where results lie; every path can be read aloud."""

import os
import sys
from pathlib import Path

from cassle.core.errors import DataError, SettingsError

REPOSITORY = Path(__file__).parents[2]
"""Where workflow and config lie beside this package."""

FIRST = "first"
"""Folder of a first task that strategies share, in the strategy's place."""
RANDOM = "random"
"""Folder of the untrained network, in the objective's place; what tables call it, in the strategy's place."""
OFFLINE = "offline"
"""What tables call joint training on everything, in the strategy's place."""
GIVEN = "given"
"""How a checkpoint was trained that was taken over from elsewhere, in its record."""
ONLINE = "online"
"""The probe that is trained along with the network, and read from its checkpoint."""


def index_file(label: str) -> str:
    """Return the path of a dataset's index; ``label``: `Stream.index`."""
    return f"results/data/{label}/index.npz"


def split_file(stream: str) -> str:
    """Return the path of a stream's split into tasks."""
    return f"results/{stream}/split.npz"


def number_of(folder: Path, word: str) -> int:
    """Return the number of a folder such as ``seed0`` or ``task4``; `DataError` for one that only begins like it."""
    number = folder.name.removeprefix(word)
    if not (number.isascii() and number.isdigit()):
        raise DataError(f"{folder}: '{word}' wants a number behind it; rename that folder, or move it away")
    return int(number)


def check_place(workflow: str) -> None:
    """Raise `SettingsError` for a folder of the workflow whose path Snakemake would read as more than a path."""
    if "{" in workflow or "}" in workflow:
        raise SettingsError(f"{workflow} lies in a folder with braces in its name, which Snakemake fills in; rename it")


def find_own_commands() -> None:
    """Let every job find the commands of this environment first, also where nobody activated it."""
    own, found = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([own, found])
