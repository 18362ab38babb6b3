"""CaSSLe: the objective's own loss between current and frozen model as distillation (Fini et al., 2112.04215).

L = L_SSL(z_1, z_2) + lambda * mean over views v of l_D(g(z_v), zbar_v),   Eq. 5 of the paper

z are the projections of the current model, zbar those of the previous model for the same views, g a predictor on the
current side only. l_D is the objective's own loss as a distillation; each form gives its formula. Defaults: lambda 1,
and 25 for mean squared error; g = Linear - BatchNorm - ReLU - Linear with 2048 hidden units, carried from task to task,
as in the authors' release. All other settings are for ablations.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.distillations.base import distillations
from cassle.models.model import Model
from cassle.objectives.base import Group, Objective
from cassle.settings.recipe import Training
from cassle.strategies.base import TeacherSettings, TeacherStrategy, strategies
from cassle.strategies.context import Step
from cassle.tensors.outputs import Outputs


class CassleSettings(TeacherSettings):
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
    space: Literal["projections", "features"] = Field(
        "projections", description="what is distilled: projections (the paper), or features of the backbone"
    )
    predictor: Literal["carried", "renewed"] = Field(
        "carried", description="the predictor g of a new task: that of the last one, or one with its first weights"
    )
    teacher: Literal["online", "momentum"] = Field(
        "online", description="network of the previous task that teaches: the trained one, or its momentum network"
    )


C = TypeVar("C", bound=CassleSettings, covariant=True, default=CassleSettings)


@strategies.register("cassle")
class Cassle(TeacherStrategy[C]):
    """Adds lambda times the distillation loss; knows no objective by name."""

    title = "CaSSLe"
    Settings: ClassVar[type[CassleSettings]] = CassleSettings

    def __init__(self, settings: C, model: Model) -> None:
        super().__init__(settings, model)
        form = dict(settings.distillation)
        kind = distillations.get(form.pop("name"))
        self.dim = model.objective.output_dim if settings.space == "projections" else model.backbone.feature_dim
        self.distillation = kind(kind.Settings(**form), self.dim, model.objective)

    @property
    def weight(self) -> float:
        """Lambda; `resolve` has replaced null by the default of the form."""
        return cast(float, self.settings.weight)

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Complete the settings with the objective's own form and its weight; refuse forms that do not fit."""
        what = f"strategy {cls.__name__.lower()}"
        settings = parse(cls.Settings, given, what)
        form = {"name": objective.distillation, **settings.distillation}
        kind = distillations.get(form["name"])
        if (reason := kind.incompatibility(objective)) is not None:
            raise SettingsError(f"distillation '{form['name']}' does not fit {objective.__name__}: {reason}")
        full = settings.model_dump(mode="json")
        if full["space"] == "features" and not kind.fits_features:
            raise SettingsError(f"distillation '{form['name']}' needs projections: name another form to use features")
        if full["teacher"] == "momentum" and not objective.has_momentum:
            raise SettingsError(f"{what}: {objective.__name__} has no momentum network that could be the teacher")
        options = {key: value for key, value in form.items() if key != "name"}
        form = {
            "name": form["name"],
            **parse(kind.Settings, options, f"{what}, distillation {form['name']}").model_dump(mode="json"),
        }
        weight = kind.default_weight if full["weight"] is None else full["weight"]
        return {**full, "weight": weight, "distillation": form}

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return a reason if the distillation compares too few images."""
        reason = self.distillation.batch_incompatibility(training.compared, self.dim)
        return None if reason is None else f"distillation '{self.settings.distillation['name']}': {reason}"

    @classmethod
    def dependencies(cls, settings: dict[str, Any]) -> list[type]:
        """Return the form of distillation."""
        return [distillations.get(settings["distillation"]["name"])]

    @property
    def teacher_network(self) -> Literal["online", "momentum"]:
        """The network that teaches."""
        return self.settings.teacher

    def load_previous(self, tensors: dict[str, Tensor], what: str) -> None:
        """Load the predictor, unless the settings ask for a new one."""
        if self.settings.predictor == "carried":
            super().load_previous(tensors, what)

    def penalty(self, step: Step) -> Tensor | None:
        """Return lambda times the distillation loss between g(z) and the teacher's outputs for the same views."""
        if step.teacher is None:
            return None
        ours, theirs = self.student(step), self.frozen(step.teacher_outputs)
        loss = self.distillation.loss(ours, theirs, step.teacher.objective, step.scope)
        return self.weight * loss

    def student(self, step: Step) -> list[Tensor]:
        """Return the inputs of the predictor, one (B, D) tensor per view."""
        if self.settings.space == "features":
            return step.student_outputs.features
        return [step.model.objective.distillation_input(view) for view in step.student_outputs.z]

    def frozen(self, outputs: Outputs) -> list[Tensor]:
        """Return the targets of the predictions, one (B, D) tensor per view."""
        return outputs.features if self.settings.space == "features" else outputs.z

    def groups(self) -> list[Group]:
        """Return the predictor's parameters (and the form's own prototypes, if it has them)."""
        return self.distillation.groups(self.weight)
