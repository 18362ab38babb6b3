"""PNR: the previous model's embeddings serve as further negatives (Cha, Cho & Moon, ICML 2024, 2306.05101).

L = L_SSL + lambda * l_D(g(z), zbar) + nu * N, which is CaSSLe with one term more. N is, averaged over views and images:

* contrastive objectives: log(1 + sum over j != i of e(z_i, zbar_j) / D_i) + log(1 + sum over j != i of e(p_i, z_j) /
  D'_i), with e(a, b) = exp(cos(a, b) / temperature), p = g(z), D and D' the denominators of L_SSL and of l_D. As
  -log(e / D) + log(1 + E / D) = -log(e / (D + E)), each loss gets the other model's embeddings as negatives. Rows i and
  j run over the images of all views, so that the other view of an image is a negative, too.
* objectives without negatives: minus the distance to the other view, which is 2 - 2 cos(p_1, zbar_2) for BYOL,
  -cos(p_1, zbar_2) for Barlow Twins and the mean squared error for VICReg.

Defaults: nu 1 (contrastive, Barlow Twins), 0.5 (BYOL) and 23 (VICReg) are those of the authors' scripts for CIFAR-100,
everything else is as in CaSSLe. MoCo V2+ takes the embeddings of the batch, where the authors keep a queue of old ones.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.distillations.contrastive import Contrastive
from cassle.models.model import Model
from cassle.objectives.base import Objective
from cassle.objectives.byol import byol_loss
from cassle.objectives.mocov2plus import MoCoV2Plus
from cassle.objectives.simclr import SimCLR
from cassle.settings.recipe import Training
from cassle.strategies.base import strategies
from cassle.strategies.cassle import Cassle, CassleSettings
from cassle.strategies.context import Step
from cassle.tensors.outputs import Outputs

WEIGHTS = {"contrastive": 1.0, "decorrelative": 1.0, "predictive": 0.5, "mse": 23.0}
"""Form of distillation -> nu of the authors' scripts."""


class HasTemperature(Protocol):
    """Settings of an objective with an InfoNCE."""

    @property
    def temperature(self) -> float:
        """The temperature of its scores."""
        ...


@singledispatch
def log_denominators(objective: Objective, outputs: Outputs) -> Tensor:
    """Return log D (V N,) of the objective's own InfoNCE, one entry per row of the stacked views."""
    raise SettingsError(f"{type(objective).__name__} has no InfoNCE whose negatives could be added to")


@log_denominators.register
def _(objective: SimCLR, outputs: Outputs) -> Tensor:
    z = F.normalize(torch.cat(outputs.z), dim=1)
    return others(z, z, objective.settings.temperature)


@log_denominators.register
def _(objective: MoCoV2Plus, outputs: Outputs) -> Tensor:
    (q1, q2), (k1, k2) = ([F.normalize(z, dim=1) for z in part] for part in (outputs.z, outputs.targets))
    queue1, queue2 = objective.queue.clone()  # it moves before gradients are taken
    found = []
    for query, key, queue in ((q1, k2, queue2), (q2, k1, queue1)):
        scores = torch.cat([(query * key).sum(dim=1, keepdim=True), query @ queue], dim=1)
        found.append((scores / objective.settings.temperature).logsumexp(dim=1))
    return torch.cat(found)


def others(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return log of the sum over j != i of exp(a_i b_j / temperature), (M,), for unit rows a, b (M, D)."""
    scores = a @ b.T / temperature
    return scores.masked_fill(torch.eye(len(a), dtype=torch.bool, device=a.device), -torch.inf).logsumexp(dim=1)


def contrastive_negatives(
    z: list[Tensor], p: list[Tensor], frozen: list[Tensor], own: Tensor, temperature: float, frozen_temperature: float
) -> Tensor:
    """Return N for contrastive objectives.

    ``z``, ``p``, ``frozen``: (B, D) per view, any scale; ``own`` (V B,): log D; ``temperature`` that of the objective,
    ``frozen_temperature`` that of the distillation.
    """
    z_, p_, f_ = (F.normalize(torch.cat(part), dim=1) for part in (z, p, frozen))
    plasticity = F.softplus(others(z_, f_, temperature) - own)
    distilled = (p_ @ f_.T / frozen_temperature).logsumexp(dim=1)
    stability = F.softplus(others(p_, z_, frozen_temperature) - distilled)
    return (plasticity + stability).mean()


def swapped_negatives(form: str, p: list[Tensor], frozen: list[Tensor]) -> Tensor:
    """Return N for objectives without negatives; p and frozen: two (B, D) tensors, compared across views."""
    (p1, p2), (f1, f2) = p, frozen
    if form == "mse":
        return -(F.mse_loss(p1, f2) + F.mse_loss(p2, f1)) / 2
    alike = (byol_loss(p1, f2) + byol_loss(p2, f1)) / 2
    return -alike if form == "predictive" else -(alike - 2) / 2


class PNRSettings(CassleSettings):
    """Settings of PNR: those of CaSSLe, and one more."""

    negative_weight: float | None = Field(
        None, ge=0, description="nu; null takes the authors' value for the form (1, 0.5, 23); 0 is CaSSLe"
    )


@strategies.register("pnr")
class PNR(Cassle[PNRSettings]):
    """CaSSLe and pseudo-negatives, on projections of two views."""

    title = "PNR"
    Settings = PNRSettings
    fallback_recipe = "cassle"

    @property
    def negative_weight(self) -> float:
        """Nu; `resolve` has replaced null by the default of the form."""
        return cast(float, self.settings.negative_weight)

    @classmethod
    def resolve(cls, given: dict[str, Any], objective: type[Objective]) -> dict[str, Any]:
        """Complete the settings with the weight of the form; refuse other forms and objectives."""
        settings = super().resolve(given, objective)
        form = settings["distillation"]["name"]
        if form not in WEIGHTS:
            raise SettingsError(f"strategy pnr has no pseudo-negatives for distillation '{form}': {', '.join(WEIGHTS)}")
        defined = log_denominators.dispatch(objective) is not log_denominators.dispatch(Objective)
        if form == "contrastive" and not defined:
            raise SettingsError(f"strategy pnr: {objective.__name__} has no InfoNCE whose negatives could be added to")
        if settings["space"] != "projections":
            raise SettingsError("strategy pnr works on projections; leave out 'space'")
        if settings["negative_weight"] is None:
            settings["negative_weight"] = WEIGHTS[form]
        return settings

    def incompatibility(self, model: Model, training: Training) -> str | None:
        """Return a reason if there are more than two views, or the reason of CaSSLe."""
        if len(training.views) > 2:
            return f"pseudo-negatives are defined for two views, and training.views has {len(training.views)}"
        return super().incompatibility(model, training)

    def penalty(self, step: Step) -> Tensor | None:
        """Return CaSSLe's penalty plus nu times N; None in the first task."""
        if step.teacher is None:
            return None
        scope, teacher = step.scope, step.teacher.objective
        frozen = scope.gather(self.frozen(step.teacher_outputs))
        p = scope.gather([self.distillation.predictor(view) for view in self.student(step)])

        outputs = step.gathered[0].of_views(step.compared)

        def loss(rows: slice) -> Tensor:
            ours, theirs = [x[rows] for x in p], [x[rows] for x in frozen]
            distilled = self.distillation.compare(ours, theirs, teacher)
            negatives = self.negatives(step.model.objective, outputs.rows(rows), ours, theirs)
            return self.weight * distilled + self.negative_weight * negatives

        return scope.mean(loss, len(p[0]))

    def negatives(self, objective: Objective, outputs: Outputs, p: list[Tensor], frozen: list[Tensor]) -> Tensor:
        """Return N for the objective's outputs, predictions and frozen projections."""
        if not isinstance(self.distillation, Contrastive):
            return swapped_negatives(self.settings.distillation["name"], p, frozen)
        own = log_denominators(objective, outputs)
        temperature = cast(HasTemperature, objective.settings).temperature
        return contrastive_negatives(outputs.z, p, frozen, own, temperature, self.distillation.settings.temperature)
