"""Methods: an objective on a data set with its training and its strategies, from recipe, preset and study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cassle.errors import SettingsError
from cassle.objectives.base import Objective, objectives
from cassle.options import differences, merged, parse
from cassle.paths import OFFLINE
from cassle.presets import objective_preset, strategy_preset, training_preset
from cassle.runs.labels import label_of
from cassle.runs.parts import Part, named
from cassle.runs.recipes import more_views, recipe_folders, recipe_of
from cassle.settings.study import Choice, Study
from cassle.settings.training import Recipe, Training
from cassle.strategies.compose import recipe_settings, resolve_strategy


@dataclass(frozen=True)
class Method:
    """An objective on a data set: its training, its strategies, and itself as it is trained on everything at once."""

    objective: Part
    training: Training
    strategies: list[Part]
    joint: Part | None
    """The objective's part in joint training, if the study asks for that."""
    given: str | None
    """Fingerprint of the file that the first task is taken over from."""

    def labels(self) -> list[str]:
        """Return the names of its rows in a table."""
        return [*(strategy.label for strategy in self.strategies), *([] if self.joint is None else [OFFLINE])]

    def offline(self, joint: Part) -> Method:
        """Return the method of joint training, which takes no first task over."""
        return replace(self, objective=joint, given=None)


def method_of(study: Study, choice: Choice, data_set: str, given: str | None) -> Method:
    """Return an objective of a study with all its strategies; `SettingsError` for settings that cannot be.

    ``given``: fingerprint of the study's first checkpoint. It determines every task, so it marks the label.
    """
    name, options = named(choice)
    kind = objectives.get(name)
    recipe = recipe_of(name, data_set, recipe_folders(study))
    training, changed = _training(study, name, data_set, recipe, options.pop("training", {}))
    _check_views(name, kind, [view.size for view in training.views])
    settings, more = _objective(study, name, data_set, recipe, options)
    changed |= more
    usual = Part(label_of(name, changed), name, settings)
    marked = usual if given is None else Part(label_of(name, {**changed, "first": given}), name, settings)
    strategies = [_strategy(one, study, recipe, kind) for one in study.strategies]
    return Method(marked, training, strategies, usual if study.offline else None, given)


def _check_views(name: str, kind: type[Objective], sizes: list[int]) -> None:
    """Raise `SettingsError` for views of some sizes that an objective does not take, or not in that order."""
    if len(sizes) > 2 and not kind.many_views:
        raise SettingsError(f"objective {name} takes two views, not {len(sizes)}; shorten training.views")
    if min(sizes[:2]) < max(sizes):
        raise SettingsError(
            f"training.views of {name} has sizes {sizes}: the first two, which targets are taken from, must be the "
            "largest and alike"
        )


def _training(
    study: Study, objective: str, data_set: str, recipe: Recipe, own: dict[str, Any]
) -> tuple[Training, dict[str, Any]]:
    """Return the training of an objective, and what of it is not as the recipe says; ``own``: what its choice says."""
    usual = recipe.model_dump(mode="json", include=set(Training.model_fields))
    given = merged(study.training, own)
    where = f"training of {objective} on {data_set}"
    word = given.get("views")
    if isinstance(word, str):
        given["views"] = more_views(recipe, word, where)
    batch_size = parse(Training, merged(usual, given), where).batch_size  # a number, also where a word gave text
    preset = training_preset(study.preset, data_set, objective, batch_size)
    training = parse(Training, merged(usual, merged(preset, given)), where)
    changed = differences(usual, training.model_dump(mode="json"))
    if isinstance(word, str):  # which the label says for all of its views
        changed = {key: value for key, value in changed.items() if not key.startswith("views")} | {"views": word}
    return training, changed


def _objective(
    study: Study, name: str, data_set: str, recipe: Recipe, own: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of an objective, and what of them is not as the recipe says."""
    kind = objectives.get(name).Settings
    usual = parse(kind, recipe.objective, f"recipe of {name} on {data_set}, objective").model_dump(mode="json")
    given = {**objective_preset(study.preset, kind), **own}
    settings = parse(kind, merged(usual, given), f"objective {name}").model_dump(mode="json")
    return settings, differences(usual, settings)


def _strategy(choice: Choice, study: Study, recipe: Recipe, objective: type[Objective]) -> Part:
    """Return a strategy for an objective; its label names what is not as the recipe says."""
    name, own = named(choice)
    usual = recipe_settings(name, recipe.strategies)
    base = resolve_strategy(name, usual, objective)
    given = merged(strategy_preset(study.preset, name), own)
    settings = resolve_strategy(name, merged(usual, given), objective)
    return Part(label_of(name, differences(base, settings)), name, settings)
