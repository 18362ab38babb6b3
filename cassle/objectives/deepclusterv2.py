"""DeepCluster-v2: cluster all images once per epoch and learn to predict the clusters.

Caron et al. 2018, 1807.05520 (DeepCluster); Caron et al. 2020, 2006.09882, Section 4.1 and Appendix D (version 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor

from cassle.core.errors import SettingsError
from cassle.core.options import Options
from cassle.core.random import generator
from cassle.nets.base import Backbone
from cassle.nets.clusters import ClusterMemory, spherical_kmeans
from cassle.nets.heads import Prototypes, mlp
from cassle.objectives.base import Moment, Objective, TaskStart, objectives
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs

VIEWS = 2
"""Number of views, the first ones, whose projections are stored and clustered."""


def deepcluster_loss(scores: Sequence[Tensor], clusters: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of clusters, averaged over views and images, then over heads.

    ``scores`` (V, N, K) per head, K its number of clusters; ``clusters`` (H, N) int64, the same for all views. An image
    in cluster -1 does not count; each head needs one that does.
    """
    losses = [
        F.cross_entropy(own.flatten(0, 1) / temperature, target.repeat(len(own)), ignore_index=-1)
        for own, target in zip(scores, clusters, strict=True)
    ]
    return torch.stack(losses).mean()


class DeepClusterV2Settings(Options):
    """Hyper-parameters of DeepCluster-v2."""

    hidden_dim: int = Field(2048, gt=0, description="width of the projector's hidden layer")
    output_dim: int = Field(128, gt=0, description="size of the projection z")
    num_prototypes: list[PositiveInt] = Field([3000, 3000, 3000], min_length=1, description="clusters, per head")
    temperature: float = Field(0.1, gt=0, description="temperature of the predicted cluster")
    kmeans_iters: int = Field(10, gt=0, description="iterations of spherical k-means, per epoch")


@objectives.register("deepclusterv2")
class DeepClusterV2(Objective[DeepClusterV2Settings]):
    """Centroids in place of learned prototypes; they move once per epoch, by k-means over a memory of projections.

    The memory is filled from unaugmented images before a task's first epoch, follows the batches of each epoch and is
    emptied after the last step. ``centroids`` (K, D): unit rows of all heads, one head after the other; the next task's
    teacher has them. ``origin`` (2,): seed and task, which the first centroids of k-means are drawn with.
    """

    title = "DeepClusterV2"
    Settings = DeepClusterV2Settings
    distillation = "prototypes"
    linear_lr = 0.15
    many_views = True

    centroids: Tensor
    origin: Tensor

    def __init__(self, settings: DeepClusterV2Settings, backbone: Backbone, num_classes: int) -> None:
        super().__init__(settings, backbone, num_classes)
        self.output_dim = settings.output_dim
        self.prototype_sizes = list(settings.num_prototypes)
        self.projector = mlp([backbone.feature_dim, settings.hidden_dim, settings.output_dim])
        self.memory = ClusterMemory(VIEWS, len(self.prototype_sizes), settings.output_dim)
        self.register_buffer("centroids", self.new_prototypes().matrix().detach())
        self.register_buffer("origin", torch.zeros(2, dtype=torch.long))

    def new_prototypes(self) -> Prototypes:
        """Return random unit prototypes, as many as there are centroids."""
        return Prototypes(self.output_dim, sum(self.prototype_sizes))

    def prototype_scores(self, z: Tensor) -> Tensor:
        """Return the cosines (B, K) of projections (B, D) with all centroids."""
        return F.normalize(z, dim=1) @ self.centroids.T

    def predict(self, z: Tensor) -> Tensor:
        """Return the prototype scores of a projection."""
        return self.prototype_scores(z)

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the loss; an image outside the memory (replayed) is of the cluster its scores are highest for."""
        scores = torch.split(torch.stack(outputs.p), self.prototype_sizes, 2)
        highest = torch.stack([own[head % VIEWS].argmax(dim=1) for head, own in enumerate(scores)])
        known = self.memory.assigned(batch.index)
        return deepcluster_loss(scores, torch.where(known < 0, highest, known), self.settings.temperature)

    def after_loss(self, outputs: Outputs, batch: Batch) -> None:
        """Store the batch's projections in the memory."""
        self.memory.write(batch.index, [F.normalize(z, dim=1) for z in outputs.z[:VIEWS]])

    @torch.no_grad()
    def begin_task(self, start: TaskStart) -> None:
        """Fill the memory from clean images; `SettingsError` if a head has more clusters than there are images."""
        ids, features = start.clean_features()
        if len(ids) < max(self.prototype_sizes):
            raise SettingsError(
                f"deepclusterv2 wants {max(self.prototype_sizes)} clusters, but task {start.task} has {len(ids)} "
                "training images; lower objective.num_prototypes or make fewer tasks"
            )
        self.projector.eval()
        z = torch.cat([F.normalize(self.project(part), dim=1) for part in torch.split(features, 4096)])
        self.projector.train(self.training)
        self.memory.fill(ids, z)
        self.origin.copy_(torch.tensor([start.seed, start.task]))

    @torch.no_grad()
    def begin_epoch(self, moment: Moment) -> None:
        """Cluster the memory, head h that of view h mod 2; do nothing where a training resumes inside an epoch."""
        if moment.step % (moment.steps // moment.epochs):
            return
        seed, task = self.origin.tolist()
        found = []
        for head, size in enumerate(self.prototype_sizes):
            points = self.memory.points[head % VIEWS]
            draws = torch.randperm(len(points), generator=generator(seed, "kmeans", task, moment.epoch, head))
            first = points[draws[:size].to(points.device)]
            centroids, clusters = spherical_kmeans(points, first, self.settings.kmeans_iters)
            self.memory.assign(head, clusters)
            found.append(centroids)
        self.centroids.copy_(torch.cat(found))

    def after_step(self, backbone: Backbone, moment: Moment) -> None:
        """Empty the memory after the last step of the task."""
        if moment.step + 1 == moment.steps:
            self.memory.clear()
