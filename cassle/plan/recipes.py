"""Recipes: the usual settings of an objective on a dataset, one file per objective."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.data.base import datasets
from cassle.plan.sources import default_recipes
from cassle.settings.reading import read_yaml
from cassle.settings.recipe import Recipe
from cassle.settings.study import Study


def recipe_folders(study: Study) -> tuple[Path, ...]:
    """Return the directories of recipes: the study's or the repository's, then that of each plugin.

    Raises `SettingsError` if this installation has no recipes and the study names none.
    """
    own = Path(study.recipes) if study.recipes else default_recipes()
    return tuple(dict.fromkeys((own, *(Path(plugin).parent for plugin in study.plugins))))


@cache
def recipe_of(objective: str, dataset: str, folders: tuple[Path, ...]) -> Recipe:
    """Return the recipe of an objective for a dataset, or for its kind, from the first folder that has one.

    Without one, raises `SettingsError` that names the files to write, that of a plugin first.
    """
    held = {}
    for file in (folder / f"{objective}.yaml" for folder in folders):
        if file.is_file():
            entries = read_yaml(file)
            for name in (dataset, datasets.get(dataset).kind):
                if name in entries:
                    return parse(Recipe, entries[name], f"{file}, {name}")
            held[file] = f"{file} (it has: {', '.join(sorted(entries))})"
    usual, *beside_plugins = (folder / f"{objective}.yaml" for folder in folders)
    if held:
        files = [held.get(file, f"{file}") for file in beside_plugins] + ([held[usual]] if usual in held else [])
        raise SettingsError(f"no recipe of {objective} for dataset '{dataset}'; add one to {' or '.join(files)}")
    files = [f"{file}" for file in (*beside_plugins, usual)]
    raise SettingsError(f"objective '{objective}' has no recipe: write {' or '.join(files)}")


def more_views(recipe: Recipe, name: str, where: str) -> list[dict[str, Any]]:
    """Return the views that a recipe keeps under a name; ``where`` begins the `SettingsError` for an unknown one."""
    if name not in recipe.more_views:
        known = ", ".join(recipe.more_views) or "no others"
        raise SettingsError(f"{where}: the recipe has no views '{name}'; besides its usual ones it has {known}")
    return [view.model_dump(mode="json") for view in recipe.more_views[name]]
