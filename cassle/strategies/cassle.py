"""CaSSLe: the objective's own loss between current and frozen model as distillation (Fini et al., 2112.04215)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from cassle.distillations.base import distillations
from cassle.errors import SettingsError
from cassle.objectives.base import Group, Objective
from cassle.options import Options, parse
from cassle.strategies.base import Strategy, strategies
from cassle.training.model import Model
from cassle.training.step import Step


class CassleSettings(Options):
    """Settings of CaSSLe."""

    weight: float | None = Field(
        None,
        ge=0,
        description="lambda; null takes the paper's value for the form (1, and 25 for mean squared error)",
    )
    distillation: dict[str, Any] = Field(
        default_factory=dict,
        description="form (`name`, by default the objective's own) and its settings, such as hidden_dim",
    )
    teacher_batchnorm: Literal["frozen", "batch"] = Field(
        "frozen",
        description="statistics the teacher normalises with: its saved ones, or the batch's (original)",
    )


@strategies.register("cassle")
class Cassle(Strategy):
    """Adds lambda times the distillation loss; knows no objective by name."""

    Settings = CassleSettings

    def __init__(self, settings: CassleSettings, model: Model) -> None:
        super().__init__(settings, model)
        form = dict(settings.distillation)
        kind = distillations.get(form.pop("name"))
        self.distillation = kind(kind.Settings(**form), model.objective.output_dim, model.objective)

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Fill in the objective's own form, its settings and its weight; refuse a form that does not fit."""
        settings = parse(CassleSettings, given, "strategy cassle")
        form = {"name": objective.distillation, **settings.distillation}
        kind = distillations.get(form["name"])
        if (reason := kind.misfit(objective)) is not None:
            raise SettingsError(f"distillation '{form['name']}' does not fit {objective.__name__}: {reason}")
        options = {key: value for key, value in form.items() if key != "name"}
        where = f"strategy cassle, distillation {form['name']}"
        form = {"name": form["name"], **parse(kind.Settings, options, where).model_dump(mode="json")}
        weight = kind.default_weight if settings.weight is None else settings.weight
        return {**settings.model_dump(mode="json"), "weight": weight, "distillation": form}

    @classmethod
    def uses(cls, settings: dict[str, Any]) -> list[type]:
        """Return the form of distillation."""
        return [distillations.get(settings["distillation"]["name"])]

    @property
    def teacher_batchnorm(self) -> Literal["frozen", "batch"]:
        """The teacher's BatchNorm mode."""
        return self.settings.teacher_batchnorm  # type: ignore[no-any-return]

    def penalty(self, step: Step) -> Tensor | None:
        """Return lambda times the distillation loss between g(z) and the teacher's projections."""
        if step.teacher is None:
            return None
        objective = step.model.objective
        z = [objective.distilled(view) for view in step.outputs.z]
        loss = self.distillation.loss(z, step.teacher_outputs.z, step.teacher.objective)
        return self.settings.weight * loss  # type: ignore[no-any-return]

    def groups(self) -> list[Group]:
        """Return the predictor's parameters (and the form's own prototypes, if it has them)."""
        return self.distillation.groups(self.settings.weight)
