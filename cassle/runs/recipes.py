"""Recipes: the usual settings of an objective on a data set, one file per objective."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from cassle.data.base import data_sets
from cassle.errors import SettingsError
from cassle.options import parse
from cassle.settings.reading import read_yaml
from cassle.settings.study import Study
from cassle.settings.training import Recipe

RECIPES = Path(__file__).parents[2] / "config" / "recipes"


def recipe_folders(study: Study) -> tuple[Path, ...]:
    """Return where recipes are looked for: the study's folder or the repository's, then beside each plugin."""
    return (Path(study.recipes) if study.recipes else RECIPES, *(Path(plugin).parent for plugin in study.plugins))


@cache
def recipe_of(objective: str, data_set: str, folders: tuple[Path, ...]) -> Recipe:
    """Return the recipe of an objective for a data set, or for its kind, from the first folder that has one.

    Raises `SettingsError` that says where to write one if there is none.
    """
    others = []
    for file in (folder / f"{objective}.yaml" for folder in folders):
        if file.is_file():
            entries = read_yaml(file)
            for name in (data_set, data_sets.get(data_set).kind):
                if name in entries:
                    return parse(Recipe, entries[name], f"{file}, {name}")
            others.append(f"{file} (it has: {', '.join(sorted(entries))})")
    if others:
        raise SettingsError(f"no recipe of {objective} for data set '{data_set}'; add one to {' or '.join(others)}")
    places = " or ".join(str(folder) for folder in folders)
    raise SettingsError(f"objective '{objective}' has no recipe: write {objective}.yaml in {places}")


def more_views(recipe: Recipe, word: str, where: str) -> list[dict[str, Any]]:
    """Return the views that a recipe keeps under a name; ``where`` begins the `SettingsError` for an unknown one."""
    if word not in recipe.more_views:
        known = ", ".join(recipe.more_views) or "no others"
        raise SettingsError(f"{where}: the recipe has no views '{word}'; besides its usual ones it has {known}")
    return [view.model_dump(mode="json") for view in recipe.more_views[word]]
