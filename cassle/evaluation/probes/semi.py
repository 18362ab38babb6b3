"""Semi-supervised evaluation: the classifier with a small, stratified share of the labels."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cassle.evaluation.base import Evaluation, probes
from cassle.evaluation.nested import Classifier, Nested, NestedSettings

SEED = 42
"""Seed of the choice of labels, as in the original release; the same labels for every run."""


def stratified(labels: Tensor, fraction: float) -> Tensor:
    """Return sorted places (n,) of a random share of every class, rounded, and one image at least of each."""
    draw = torch.Generator().manual_seed(SEED)
    order = torch.randperm(len(labels), generator=draw)
    shuffled = labels.cpu()[order]
    chosen = []
    for label in torch.unique(shuffled).tolist():
        own = order[shuffled == label]
        chosen.append(own[: max(1, round(fraction * len(own)))])
    return torch.cat(chosen).sort().values.to(labels.device)


class SemiSettings(NestedSettings):
    """Settings of semi-supervised evaluation with 1 % of the labels."""

    fraction: float = Field(0.01, gt=0, le=1, description="share of every class's training images that have labels")
    classifier: Classifier = Field(
        default={"name": "linear"}, validate_default=True, description="the probe whose classifier they train"
    )


class Semi10Settings(SemiSettings):
    """Settings of semi-supervised evaluation with 10 % of the labels."""

    fraction: float = Field(0.1, gt=0, le=1, description="share of every class's training images that have labels")


@probes.register("semi_1")
class Semi1(Nested[SemiSettings]):
    """The classifier with 1 % of the labels."""

    title = "semi-supervised 1 %"
    Settings = SemiSettings

    def scores(self, data: Evaluation) -> Tensor:
        """Return the scores of the classifier that has seen the chosen images only."""
        chosen = stratified(data.train.labels, self.settings.fraction)
        return self.classifier.scores(data.trained_on(chosen))


@probes.register("semi_10")
class Semi10(Semi1):
    """The classifier with 10 % of the labels."""

    title = "semi-supervised 10 %"
    Settings = Semi10Settings
