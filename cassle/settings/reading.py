"""Read studies from files and from `--config` arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from cassle.core.errors import SettingsError
from cassle.core.files import fingerprint
from cassle.core.options import Options, merged, parse
from cassle.settings.recipe import Training
from cassle.settings.site import Execution, Site, WandbSettings
from cassle.settings.study import LONGEST_STUDY, Grid, Study

SINGULAR = {
    "stream": "streams",
    "backbone": "backbones",
    "objective": "objectives",
    "strategy": "strategies",
    "seed": "seeds",
    "probe": "probes",
}
"""Singular key of one experiment -> list of the study that it replaces."""
GROUPS: dict[str, type[Options]] = {"training": Training, "execution": Execution, "wandb": WandbSettings}
"""Name of a group of settings in a study -> its model."""


def with_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a study with singular keys replaced by lists, in its grids as well.

    >>> with_lists({"seed": 3, "grids": [{"seeds": [0, 1]}]})
    {'grids': [{}], 'seeds': [3]}
    """
    singular = {key: value for key, value in values.items() if key in SINGULAR}
    lists = {SINGULAR[key]: value if isinstance(value, list) else [value] for key, value in singular.items()}
    return replaced({key: value for key, value in values.items() if key not in singular}, lists)


def refuse_both(values: Mapping[str, Any], where: str) -> None:
    """Raise `SettingsError` if a mapping has both a singular key and its list."""
    for singular, key in SINGULAR.items():
        if singular in values and key in values:
            raise SettingsError(f"{where}: '{singular}' and '{key}' set the same list; give one of them")


def read_study(given: Mapping[str, Any], where: str = "the settings") -> Study:
    """Return the study that a mapping describes; a singular key such as ``objective=byol`` replaces the whole list.

    A singular key applies to every grid. Raises `SettingsError` for a grid without streams or without objectives.
    """
    values = with_lists(given)
    _check_groups(values, where)
    study = parse(Study, values, where)
    for grid in [] if study.studies else study.complete_grids():
        if missing := [key for key in ("streams", "objectives") if not getattr(grid, key)]:
            raise SettingsError(f"{where}: '{missing[0]}' is missing; name at least one")
    return study


def _check_groups(values: Mapping[str, Any], where: str) -> None:
    """Raise `SettingsError` for a key outside its group, or with a dot instead of the group."""
    group_of = {key: group for group, model in GROUPS.items() for key in model.model_fields}
    for key, value in values.items():
        group, _, inner = str(key).rpartition(".")
        if key not in Study.model_fields and group not in GROUPS:
            inner = next(iter(get_close_matches(inner, sorted({*group_of, *Study.model_fields}), n=1, cutoff=0.5)), "")
            group = "" if inner in Study.model_fields else group_of.get(inner, "")
        if group:
            shown = str(value).lower() if isinstance(value, bool) else value
            raise SettingsError(
                f"{where}: unknown key '{key}': '{inner}' belongs into {group}: '{group}={{{inner}: {shown}}}'"
            )


def read_studies(study: Study, folder: Path) -> list[Study]:
    """Return the studies to run: the study itself, or those of the files it lists, relative to ``folder``.

    Keys of the outer study replace those of the files. Execution settings belong to the outer study only: they are the
    same for all files.
    """
    if not study.studies:
        return [study]
    outer = {key: getattr(study, key) for key in study.model_fields_set - {"name", "studies"}}
    found = []
    for file in study.studies:
        values = read_yaml(folder / file)
        if refused := sorted({*Site.model_fields, "studies"} & set(values)):
            raise SettingsError(f"{folder / file}: '{refused[0]}' belongs into the study that lists this file")
        found.append(read_study(replaced(values, outer), str(folder / file)))
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"two of the studies are called '{twice[0]}'; their tables need names of their own")
    return found


def replaced(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a study with some keys replaced, in its grids as well; mappings are merged key by key."""
    result = merged(values, changes)
    if isinstance(result.get("grids"), list):
        result["grids"] = [_grid(grid, changes) if isinstance(grid, dict) else grid for grid in result["grids"]]
    return result


def _grid(grid: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a grid keeps after changes of its study."""
    kept = {key: value for key, value in grid.items() if isinstance(changes.get(key, {}), Mapping)}
    return merged(kept, {key: value for key, value in changes.items() if key in kept})


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping; `SettingsError` with file and line if it is missing or broken."""
    try:
        value = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path} must hold keys and values, not {type(value).__name__}")
    return value


NAMED_KEYS = (*Grid.model_fields, "first_checkpoint", "grids")
"""The keys of a study that determine its runs, in the order of a name."""
CHOICES = ("streams", "backbones", "objectives", "strategies", "probes")
"""Lists whose values need no key in a name."""


def name_of(values: Mapping[str, Any]) -> str:
    """Return a name for a study from the keys that determine its runs; empty if it has none of them.

    Characters that a name cannot have, or that make it too long, are left out and replaced by ten digits of a hash.

    >>> name_of({"streams": ["digits-class5"], "strategies": ["finetune", "cassle"], "seeds": [1], "offline": True})
    'digits-class5-finetune-cassle-seed1-offline=true'
    """
    text = "-".join(part for key in NAMED_KEYS if key in values for part in _parts(key, values[key]))
    name = re.sub(r"[^A-Za-z0-9._+=]+", "-", text).strip("-._+=")
    if name == text and len(name) <= LONGEST_STUDY:
        return name
    return f"{name[: LONGEST_STUDY - 11]}-{fingerprint(ascii(text))[:10]}".lstrip("-")


def _parts(key: str, value: Any) -> Iterator[str]:
    """Yield the parts of a name that a key of a study adds."""
    if key == "seeds" and isinstance(value, list):
        yield from (f"seed{seed}" for seed in value)
    elif key in CHOICES and isinstance(value, list):
        for choice in value:
            options = choice if isinstance(choice, Mapping) else {"name": choice}
            yield f"{options.get('name')}"
            yield from _settings({key: value for key, value in options.items() if key != "name"})
    else:
        yield from _settings({key: value})


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield values of groups as text, keys of groups inside groups joined by dots."""
    for key, value in sorted(values.items(), key=str):
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={str(value).lower() if isinstance(value, bool) else value}"
