"""Methods: an objective on a dataset with its training and its strategies, from recipe, preset and study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cassle.contracts.layout import OFFLINE
from cassle.core.errors import SettingsError
from cassle.core.options import differences, merged, parse
from cassle.objectives.base import Objective, objectives
from cassle.plan.components import LabeledComponent, named
from cassle.plan.labels import label_of, shown_name
from cassle.plan.presets import objective_preset, strategy_preset, training_preset
from cassle.plan.recipes import more_views, recipe_folders, recipe_of
from cassle.settings.recipe import Recipe, Training
from cassle.settings.study import Choice, Study
from cassle.strategies.compose import recipe_settings, resolve_strategy


@dataclass(frozen=True)
class _Changes:
    """Settings that are not usual: dotted keys -> values."""

    from_recipe: dict[str, Any]
    """Settings that differ from the recipe; they mark paths."""
    from_preset: dict[str, Any]
    """Settings that differ from recipe and preset together; they are shown in tables."""

    def __or__(self, other: _Changes) -> _Changes:
        return _Changes(self.from_recipe | other.from_recipe, self.from_preset | other.from_preset)

    def component(self, name: str, settings: dict[str, Any], explicit: dict[str, Any]) -> LabeledComponent:
        """Return the component of a run that has these changes."""
        shown = shown_name(name, self.from_preset, explicit)
        return LabeledComponent(label_of(name, self.from_recipe), name, settings, shown)


@dataclass(frozen=True)
class Method:
    """An objective on a dataset: its training, its strategies, and itself as it is trained on everything at once."""

    objective: LabeledComponent
    training: Training
    strategies: list[LabeledComponent]
    joint: LabeledComponent | None
    """The objective in joint training; None if the study has none."""
    first_checkpoint: str | None
    """Fingerprint of the file that the first task is taken over from."""

    def labels(self) -> list[str]:
        """Return the names of its rows in a table."""
        return [*(strategy.label for strategy in self.strategies), *([] if self.joint is None else [OFFLINE])]

    def offline(self, joint: LabeledComponent) -> Method:
        """Return the method of joint training, which takes no first task over."""
        return replace(self, objective=joint, first_checkpoint=None)


def method_of(study: Study, choice: Choice, dataset: str, first_checkpoint: str | None) -> Method:
    """Return an objective of a study with all its strategies; `SettingsError` for settings that cannot be.

    ``first_checkpoint``: fingerprint of the study's first checkpoint. It determines every task, so it marks the label.
    """
    name, options = named(choice)
    kind = objectives.get(name)
    _check_complete(name, kind)
    recipe = recipe_of(name, dataset, recipe_folders(study))
    own = options.pop("training", {})
    training, changed = _training(study, name, dataset, recipe, own)
    _check_views(name, kind, [view.size for view in training.views])
    settings, more = _objective(study, name, dataset, recipe, options)
    first = {} if first_checkpoint is None else {"first": first_checkpoint}
    explicit = merged(merged(study.training, own), options)
    usual, marked = (
        (changed | more | _Changes(mark, mark)).component(name, settings, explicit) for mark in ({}, first)
    )
    strategies = [_strategy(one, study, recipe, kind) for one in study.strategies]
    return Method(marked, training, strategies, usual if study.offline else None, first_checkpoint)


def _check_complete(name: str, kind: type[Objective]) -> None:
    """Raise `SettingsError` for an objective's class without a distillation or a loss."""
    lacking = [] if hasattr(kind, "distillation") else ["distillation = the name of a form, such as 'predictive'"]
    lacking += [] if kind.loss is not Objective.loss else ["the method loss(outputs, batch)"]
    if lacking:
        raise SettingsError(f"objective {name}: class {kind.__name__} lacks {' and '.join(lacking)}")


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
    study: Study, objective: str, dataset: str, recipe: Recipe, own: dict[str, Any]
) -> tuple[Training, _Changes]:
    """Return the training of an objective, and its unusual settings; ``own``: settings of its choice."""
    usual = recipe.model_dump(mode="json", include=set(Training.model_fields))
    given = merged(study.training, own)
    where = f"training of {objective} on {dataset}"
    views = given.get("views")
    if isinstance(views, str):
        given["views"] = more_views(recipe, views, where)
    batch_size = parse(Training, merged(usual, given), where).batch_size  # a number, also from an override that is text
    as_preset = merged(usual, training_preset(study.preset, dataset, objective, batch_size))
    training = parse(Training, merged(as_preset, given), where)

    def changed(base: dict[str, Any]) -> dict[str, Any]:
        found = differences(base, training.model_dump(mode="json"))
        if isinstance(views, str):  # the label has their name in place of their settings
            found = {key: value for key, value in found.items() if not key.startswith("views")} | {"views": views}
        return found

    return training, _Changes(changed(usual), changed(as_preset))


def _objective(
    study: Study, name: str, dataset: str, recipe: Recipe, own: dict[str, Any]
) -> tuple[dict[str, Any], _Changes]:
    """Return the settings of an objective, and the unusual ones among them."""
    kind = objectives.get(name).Settings
    usual = parse(kind, recipe.objective, f"recipe of {name} on {dataset}, objective").model_dump(mode="json")
    as_preset = merged(usual, objective_preset(study.preset, objectives.get(name)))
    settings = parse(kind, merged(as_preset, own), f"objective {name}").model_dump(mode="json")
    return settings, _Changes(differences(usual, settings), differences(as_preset, settings))


def _strategy(choice: Choice, study: Study, recipe: Recipe, objective: type[Objective]) -> LabeledComponent:
    """Return a strategy for an objective."""
    name, own = named(choice)
    usual = recipe_settings(name, recipe.strategies)
    as_preset = merged(usual, strategy_preset(study.preset, name))
    settings = resolve_strategy(name, merged(as_preset, own), objective)
    base, preset = (differences(resolve_strategy(name, given, objective), settings) for given in (usual, as_preset))
    return _Changes(base, preset).component(name, settings, own)
