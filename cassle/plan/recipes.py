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
    """Return where recipes are looked for: the study's folder or the repository's, then beside each plugin.

    Raises `SettingsError` if neither is there.
    """
    own = Path(study.recipes) if study.recipes else default_recipes()
    return tuple(dict.fromkeys((own, *(Path(plugin).parent for plugin in study.plugins))))


@cache
def recipe_of(objective: str, dataset: str, folders: tuple[Path, ...]) -> Recipe:
    """Return the recipe of an objective for a dataset, or for its kind, from the first folder that has one.

    Raises `SettingsError` that says where to write one if there is none: beside a plugin first.
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
        places = [held.get(file, f"{file}") for file in beside_plugins] + ([held[usual]] if usual in held else [])
        raise SettingsError(f"no recipe of {objective} for dataset '{dataset}'; add one to {' or '.join(places)}")
    places = [f"{file}" for file in (*beside_plugins, usual)]
    raise SettingsError(f"objective '{objective}' has no recipe: write {' or '.join(places)}")


def more_views(recipe: Recipe, word: str, where: str) -> list[dict[str, Any]]:
    """Return the views that a recipe keeps under a name; ``where`` begins the `SettingsError` for an unknown one."""
    if word not in recipe.more_views:
        known = ", ".join(recipe.more_views) or "no others"
        raise SettingsError(f"{where}: the recipe has no views '{word}'; besides its usual ones it has {known}")
    return [view.model_dump(mode="json") for view in recipe.more_views[word]]
