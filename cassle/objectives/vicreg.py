"""VICReg: views agree, features vary and do not repeat each other (Bardes et al. 2022, 2105.04906)."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cassle.core.options import Options
from cassle.nets.base import Backbone
from cassle.nets.heads import mlp
from cassle.objectives.base import Objective, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs


def variance_term(z: Tensor, eps: float = 1e-4) -> Tensor:
    """Return Eq. 1 of the paper for z (N, D): by how much standard deviations fall short of 1, mean over features.

    The variance is unbiased, plus ``eps``.
    """
    return F.relu(1 - (z.var(dim=0) + eps).sqrt()).mean()


def covariance_term(z: Tensor) -> Tensor:
    """Return Eq. 4 of the paper for z (N, D): squared covariances of different features, summed and divided by D."""
    centered = z - z.mean(dim=0)
    covariance = centered.T @ centered / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def vicreg_loss(z1: Tensor, z2: Tensor, sim_weight: float, var_weight: float, cov_weight: float) -> Tensor:
    """Return Eq. 6 of the paper for one pair of views (N, D), N > 1.

    The invariance term is the mean of (z1 - z2)^2 over all N D entries, where Eq. 5 divides by N alone; variance and
    covariance terms of the two views are added.
    """
    invariance = F.mse_loss(z1, z2)
    variance = variance_term(z1) + variance_term(z2)
    covariance = covariance_term(z1) + covariance_term(z2)
    return sim_weight * invariance + var_weight * variance + cov_weight * covariance


class VICRegSettings(Options):
    """Hyper-parameters of VICReg."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's two hidden layers")
    output_dim: int = Field(2048, gt=0, description="size of the projection z")
    sim_loss_weight: float = Field(25.0, ge=0, description="weight of the distance between views")
    var_loss_weight: float = Field(25.0, ge=0, description="weight of the variance term")
    cov_loss_weight: float = Field(1.0, ge=0, description="weight of the covariance term")


@objectives.register("vicreg")
class VICReg(Objective[VICRegSettings]):
    """Projector of three linear layers with BatchNorm; nothing to carry but weights."""

    title = "VICReg"
    Settings = VICRegSettings
    original_loss = "per_gpu"
    distillation = "mse"

    def __init__(self, settings: VICRegSettings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        width = settings.hidden_dim
        self.projector = mlp([backbone.feature_dim, width, width, settings.output_dim])
        self.output_dim = settings.output_dim

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the VICReg loss between the two views."""
        hp = self.settings
        z1, z2 = outputs.z
        return vicreg_loss(z1, z2, hp.sim_loss_weight, hp.var_loss_weight, hp.cov_loss_weight)
