"""Spherical k-means in closed form, and a memory whose state is empty between tasks and whole within one."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.nets import clusters
from cassle.nets.clusters import ClusterMemory, nearest_centroid, spherical_kmeans


def unit(*shape, seed=0):
    draw = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return F.normalize(draw, dim=-1)


def at(*degrees):
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


# k-means


def test_centroids_become_the_normalized_means_of_their_points():
    centroids, found = spherical_kmeans(at(0, 20, 90, 110), at(5, 80), iterations=1)
    torch.testing.assert_close(centroids, at(10, 100))
    assert found.tolist() == [0, 0, 1, 1]


def test_clusters_are_those_of_the_last_centroids():
    # Of the first centroids 0 and 50 degrees the second has all points but one, and their mean is 60 degrees.
    points = at(0, 26, 60, 94)
    centroids, found = spherical_kmeans(points, at(0, 50), iterations=1)
    torch.testing.assert_close(centroids, at(0, 60))
    assert found.tolist() == [0, 0, 1, 1]
    assert nearest_centroid(points, at(0, 50)).tolist() == [0, 1, 1, 1]


def test_a_centroid_without_points_stays_where_it_is():
    centroids, found = spherical_kmeans(at(0, 20), at(10, 180), iterations=3)
    torch.testing.assert_close(centroids, at(10, 180))
    assert found.tolist() == [0, 0]


def test_groups_that_are_apart_are_found_again():
    groups = torch.arange(4).repeat_interleave(5)
    points = F.normalize(torch.eye(4, dtype=torch.float64)[groups] + 0.1 * unit(20, 4), dim=1)
    _, found = spherical_kmeans(points, points[[0, 5, 10, 15]], iterations=5)
    assert torch.equal(found, groups)


def test_the_order_of_points_does_not_matter():
    points, order = unit(30, 5), torch.randperm(30, generator=torch.Generator().manual_seed(1))
    first = unit(4, 5, seed=2)
    centroids, found = spherical_kmeans(points, first, 4)
    moved, found_moved = spherical_kmeans(points[order], first, 4)
    torch.testing.assert_close(moved, centroids)
    assert torch.equal(found_moved, found[order])


def test_many_points_are_compared_in_parts_with_the_same_result(monkeypatch):
    points, first = unit(30, 5), unit(4, 5, seed=2)
    whole = spherical_kmeans(points, first, 4)
    monkeypatch.setattr(clusters, "CHUNK", 7)
    parts = spherical_kmeans(points, first, 4)
    torch.testing.assert_close(parts[0], whole[0])
    assert torch.equal(parts[1], whole[1])


# Memory

IDS = torch.tensor([40, 11, 25])


@pytest.fixture
def memory():
    made = ClusterMemory(views=2, heads=3, dim=4)
    made.fill(IDS, unit(3, 4).float())
    return made


def test_a_filled_memory_holds_the_same_projection_in_every_view(memory):
    by_id = unit(3, 4).float()[[1, 2, 0]]
    assert all(torch.equal(view, by_id) for view in memory.points)


def test_no_image_is_assigned_before_a_head_has_clustered(memory):
    assert memory.assigned(IDS).tolist() == [[-1] * 3] * 3


def test_images_are_found_by_what_they_are_called(memory):
    memory.assign(1, torch.tensor([5, 6, 7]))  # images 11, 25, 40
    assert memory.assigned(torch.tensor([40, 25, 11, 25]))[1].tolist() == [7, 6, 5, 6]


@pytest.mark.parametrize("stranger", [0, 12, 41, 10**12])
def test_images_of_other_tasks_are_in_no_cluster_and_are_not_remembered(memory, stranger):
    memory.assign(0, torch.tensor([5, 6, 7]))
    before = memory.points.clone()
    memory.write(torch.tensor([stranger]), [torch.ones(1, 4)] * 2)
    assert memory.assigned(torch.tensor([stranger, 11]))[0].tolist() == [-1, 5]
    assert torch.equal(memory.points, before)


def test_writing_replaces_the_projections_of_the_images_written_view_by_view(memory):
    before = memory.points.clone()
    first, second = unit(2, 4, seed=1).float(), unit(2, 4, seed=2).float()
    memory.write(torch.tensor([25, 11]), [first, second])
    for view, new in enumerate((first, second)):
        assert torch.equal(memory.points[view], torch.stack([new[1], new[0], before[view, 2]]))


def test_filling_anew_forgets_the_task_before(memory):
    memory.assign(0, torch.tensor([5, 6, 7]))
    memory.fill(torch.tensor([11, 2]), unit(2, 4, seed=1).float())
    assert memory.points.shape == (2, 2, 4)
    assert memory.assigned(torch.tensor([11, 25])).tolist() == [[-1, -1]] * 3


def test_a_cleared_memory_has_the_state_of_a_new_one(memory):
    memory.assign(0, torch.tensor([5, 6, 7]))
    memory.clear()
    new = ClusterMemory(views=2, heads=3, dim=4).state_dict()
    assert memory.state_dict().keys() == new.keys()
    assert all(torch.equal(value, new[name]) for name, value in memory.state_dict().items())


def test_an_empty_memory_knows_no_image_and_remembers_none():
    memory = ClusterMemory(views=2, heads=1, dim=4)
    memory.write(torch.tensor([3, 4]), [torch.ones(2, 4)] * 2)
    assert memory.assigned(torch.tensor([3, 4])).tolist() == [[-1, -1]]
    assert memory.points.shape == (2, 0, 4)


def test_a_state_loads_strictly_whatever_the_number_of_images(memory):
    memory.assign(2, torch.tensor([5, 6, 7]))
    other = ClusterMemory(views=2, heads=3, dim=4)
    other.load_state_dict(memory.state_dict(), strict=True)
    assert torch.equal(other.points, memory.points)
    assert torch.equal(other.assigned(IDS), memory.assigned(IDS))


@pytest.mark.parametrize("sizes", [(1, 3, 4), (2, 2, 4), (2, 3, 5)])
def test_a_state_of_other_views_heads_or_projections_is_refused(memory, sizes):
    with pytest.raises(RuntimeError, match="size mismatch"):
        ClusterMemory(*sizes).load_state_dict(memory.state_dict())


def test_a_state_without_the_memory_is_refused(memory):
    with pytest.raises(RuntimeError, match="Missing key"):
        memory.load_state_dict({})
