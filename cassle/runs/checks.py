"""What would fail late if nobody looked before anything runs."""

from __future__ import annotations

import hashlib
import pkgutil
from importlib.util import find_spec

from cassle.data.base import data_sets
from cassle.errors import SettingsError, unknown
from cassle.runs.parts import named
from cassle.settings.study import Study
from cassle.strategies.compose import shares_first_task

FEATURE_FIGURES = "cassle.reporting.figures.features"


def check_names(study: Study) -> None:
    """Raise `SettingsError` for unknown figures and data sets, and for a study that trains nothing."""
    for asked, known in ((study.figures, figure_names()), (study.features, figure_names(FEATURE_FIGURES))):
        for figure in asked:
            if figure not in known:
                raise unknown("figure", figure, known)
    for name, settings in study.data.items():
        data_sets.get(name)(**settings)
    if not (study.strategies or study.offline):
        raise SettingsError("this study trains nothing: give strategies, or offline: true")


def figure_names(package: str = "cassle.reporting.figures") -> list[str]:
    """Return the names of the figures that there are in a package, without importing what draws them."""
    place = find_spec(package)
    modules = pkgutil.iter_modules(place.submodule_search_locations if place else [])
    return sorted(module.name for module in modules if module.name != "base" and not module.ispkg)


def fingerprint_of_first_checkpoint(study: Study) -> str | None:
    """Return 16 digits of the bytes of the checkpoint that first tasks are taken over from, if the study names one.

    Raises `SettingsError` if it cannot be read or passed on, or if a strategy needs a first task of its own.
    """
    if study.first_checkpoint is None:
        return None
    for choice in study.strategies:
        if not shares_first_task(named(choice)[0]):
            raise SettingsError(f"first_checkpoint: strategy {named(choice)[0]} needs a first task of its own")
    if {"{", "}"} & set(study.first_checkpoint):
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: Snakemake fills in braces; rename the file")
    try:
        with open(study.first_checkpoint, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise SettingsError(f"first_checkpoint {study.first_checkpoint}: {error.strerror}; check the path") from error
