"""Spherical k-means, and the memory of a task's projections that it clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 8192
"""Rows compared with all centroids at a time."""


def nearest_centroid(points: Tensor, centroids: Tensor) -> Tensor:
    """Return for points (M, D) the index (M,) of the centroid (K, D) with the largest dot product."""
    return torch.cat([(part @ centroids.T).argmax(dim=1) for part in torch.split(points, CHUNK)])


def spherical_kmeans(points: Tensor, centroids: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Return unit centroids (K, D) and the cluster (M,) of each point after ``iterations`` of Lloyd's algorithm.

    ``points`` (M, D) and the first ``centroids`` (K, D) are unit rows, 1 <= M. An iteration assigns every point to the
    nearest centroid, moves each to the mean of its points (one without points stays) and makes it a unit vector again
    (Dhillon & Modha 2001). Sums are matrix products, because adding by index has no fixed order on a GPU.
    """
    for _ in range(iterations):
        clusters = nearest_centroid(points, centroids)
        sums, counts = torch.zeros_like(centroids), torch.zeros_like(centroids[:, :1])
        for part, own in zip(torch.split(points, CHUNK), torch.split(clusters, CHUNK), strict=True):
            members = F.one_hot(own, len(centroids)).to(points.dtype)
            sums += members.T @ part
            counts += members.sum(dim=0)[:, None]
        centroids = F.normalize(torch.where(counts > 0, sums / counts.clamp(min=1), centroids), dim=1)
    return centroids, nearest_centroid(points, centroids)


class ClusterMemory(nn.Module):
    """Unit projections of every image of a task, one per view, and the clusters each head has put the image in.

    With n images, V views and H heads: ``ids`` (n + 1,) int64, ascending; ``rows`` (V, n + 1, D); ``clusters``
    (H, n + 1) int64. The last row is for samples of other tasks; its cluster is always -1. Outside a task
    the memory is empty, n = 0, so that checkpoints have one shape; in the middle of a task its state loads at any n.
    """

    ids: Tensor
    rows: Tensor
    clusters: Tensor

    def __init__(self, views: int, heads: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("ids", torch.full((1,), torch.iinfo(torch.long).max))
        self.register_buffer("rows", torch.zeros(views, 1, dim))
        self.register_buffer("clusters", torch.full((heads, 1), -1))

    @property
    def points(self) -> Tensor:
        """The projections (V, n, D)."""
        return self.rows[:, :-1]

    def fill(self, ids: Tensor, z: Tensor) -> None:
        """Hold images ``ids`` (n,), each once, with the same unit projection z (n, D) in every view."""
        order = ids.argsort()
        self._resize(len(ids) + 1)
        self.ids[:-1] = ids[order]
        self.rows[:, :-1] = z[order].to(self.rows.dtype)

    def clear(self) -> None:
        """Remove all samples."""
        self._resize(1)

    def assign(self, head: int, clusters: Tensor) -> None:
        """Set the clusters (n,) of all images for a head, in the order of `points`."""
        self.clusters[head, :-1] = clusters

    def assigned(self, ids: Tensor) -> Tensor:
        """Return the clusters (H, B) of images ``ids`` (B,), -1 for images that are not of the task."""
        return self.clusters[:, self._rows(ids)]

    def write(self, ids: Tensor, z: Sequence[Tensor]) -> None:
        """Overwrite the projections of images ``ids`` (B,) with unit rows z (B, D), one tensor per view."""
        self.rows.index_copy_(1, self._rows(ids), torch.stack(list(z)).to(self.rows.dtype))

    def _rows(self, ids: Tensor) -> Tensor:
        places = torch.searchsorted(self.ids, ids)
        return torch.where(self.ids[places] == ids, places, len(self.ids) - 1)

    def _resize(self, length: int) -> None:
        """Make room for so many rows, the one for strangers included, all as in an empty memory."""
        self.ids = self.ids.new_full((length,), torch.iinfo(torch.long).max)
        self.rows = self.rows.new_zeros(self.rows.shape[0], length, self.rows.shape[2])
        self.clusters = self.clusters.new_full((self.clusters.shape[0], length), -1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}ids")
        if saved is not None:
            self._resize(len(saved))
        super()._load_from_state_dict(state_dict, prefix, *args)
