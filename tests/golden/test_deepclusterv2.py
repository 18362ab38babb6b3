"""DeepCluster-v2: the loss of given clusters, and the k-means that finds them."""

import pytest
import torch

from cassle.nets.clusters import spherical_kmeans
from cassle.objectives.deepclusterv2 import deepcluster_loss

from .files import Row


@pytest.mark.golden(Row("deepclusterv2", ("outputs", "assignments")))
def test_loss_and_gradients_equal_the_reference(case, precision):
    inputs = case.inputs(precision.dtype)
    outputs = inputs["outputs"].requires_grad_()
    loss = deepcluster_loss(list(outputs), inputs["assignments"], case.hp["temperature"])
    precision.equal(loss, precision.expected(case, "loss"), "loss")
    precision.equal_gradients(loss, {"outputs": outputs}, case)


@pytest.mark.golden(Row("kmeans", ("memory", "memory_index")))
def test_centroids_and_clusters_equal_the_reference(case, precision):
    inputs, hp = case.inputs(precision.dtype), case.hp
    for head, size in enumerate(hp["num_prototypes"]):
        points = inputs["memory"][head % hp["num_crops"]]
        first = points[inputs[f"init_perm{head}"][:size]]
        centroids, clusters = spherical_kmeans(points, first, hp["kmeans_iters"])
        precision.equal(centroids, case[f"centroids{head}"], f"centroids of head {head}")
        by_image = torch.full_like(clusters, -1)
        by_image[inputs["memory_index"]] = clusters
        assert by_image.equal(case["assignments"][head])
