"""Where the default study, the recipes and the workflow are found, in a clone and in an installed package alike."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cassle.core.errors import SettingsError

CONFIG = Path(__file__).parents[2] / "config"
"""The directory of the default study and of the recipes."""
DEFAULT_STUDY = CONFIG / "config.yaml"
RECIPES = CONFIG / "recipes"


def default_recipes() -> Path:
    """Return the directory of the recipes; `SettingsError` if this installation has none."""
    if not RECIPES.is_dir():
        raise SettingsError(
            f"there is no directory {RECIPES}: this package is installed without its repository, where recipes and "
            "workflow are; clone it, and there `pip install --no-deps -e .`"
        )
    return RECIPES


def check_workflow_path(workflow: str) -> None:
    """Raise `SettingsError` for a directory of the workflow whose name Snakemake would format."""
    if "{" in workflow or "}" in workflow:
        raise SettingsError(f"{workflow} has braces in its path, which Snakemake formats; rename the directory")


def put_own_commands_first() -> None:
    """Let every job find the commands of this environment first, also where it is not activated."""
    own, found = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([own, found])
