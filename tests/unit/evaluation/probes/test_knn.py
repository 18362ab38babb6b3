"""Weighted nearest neighbors: votes worked out by hand."""

import math

import pytest
import torch

import cassle.evaluation.probes.knn as module
from cassle.core.errors import CheckpointError, SettingsError
from cassle.evaluation.probes.knn import KNN, knn_scores
from tests.unit.evaluation.made import evaluation

DISTANCES = pytest.mark.parametrize("distance", ["cosine", "euclidean"])
TRAIN = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1, 2])
TEST = torch.tensor([[1.0, 0.0]], dtype=torch.float64)


def drawn(rows, seed, dim=6):
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def predicted(train, labels, test, num_classes, seed=0, project=None, **settings):
    data = evaluation(train, labels, test, num_classes, seed, project=project)
    return KNN(**settings).scores(data).argmax(dim=1)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def weight(similarity):
    return math.exp(similarity / 0.5)


@pytest.mark.parametrize(
    ("k", "votes"),
    [
        (1, [weight(1), 0, 0]),
        (2, [weight(1), weight(0.6), 0]),
        (3, [weight(1), weight(0.6) + weight(0), 0]),
        (4, [weight(1), weight(0.6) + weight(0), weight(-1)]),
        (9, [weight(1), weight(0.6) + weight(0), weight(-1)]),
    ],
)
def test_cosine_the_k_largest_products_weigh_their_exponential(k, votes):
    close(knn_scores(TRAIN, LABELS, TEST, 3, k, "cosine", temperature=0.5), [votes])


@pytest.mark.parametrize(
    ("k", "votes"),
    [
        (1, [1 / 0.1, 0, 0]),
        (3, [1 / 0.1, 1 / (math.sqrt(0.8) + 0.1) + 1 / (math.sqrt(2) + 0.1), 0]),
        (9, [1 / 0.1, 1 / (math.sqrt(0.8) + 0.1) + 1 / (math.sqrt(2) + 0.1), 1 / 2.1]),
    ],
)
def test_euclidean_the_k_smallest_distances_weigh_their_inverse(k, votes):
    close(knn_scores(TRAIN, LABELS, TEST, 3, k, "euclidean", epsilon=0.1), [votes])


@DISTANCES
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_work_in_chunks_changes_nothing(distance, rows, monkeypatch):
    data = drawn(30, 0), torch.arange(30) % 4, drawn(40, 1)
    whole = knn_scores(*data, 4, 5, distance)
    monkeypatch.setattr(module, "ELEMENTS", 30 * rows)  # the widest tensor has a column per training image
    torch.testing.assert_close(knn_scores(*data, 4, 5, distance), whole, rtol=1e-12, atol=0)


@DISTANCES
def test_order_of_training_images_does_not_matter(distance):
    train, labels, test = drawn(30, 0), torch.arange(30) % 4, drawn(8, 1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    expected = knn_scores(train, labels, test, 4, 5, distance)
    found = knn_scores(train[order], labels[order], test, 4, 5, distance)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_distances_keep_their_digits_far_from_the_origin():
    train, test = (drawn(rows, seed).float() + 10_000 for seed, rows in enumerate((30, 8)))
    labels = torch.arange(30) % 4
    exact = knn_scores(train.double(), labels, test.double(), 4, 5, "euclidean")
    torch.testing.assert_close(knn_scores(train, labels, test, 4, 5, "euclidean").double(), exact, rtol=1e-2, atol=0)


@DISTANCES
@pytest.mark.parametrize("k", [1, 5, 20])
def test_clusters_far_apart_are_told_apart(separable, distance, k):
    train, train_labels, test, test_labels = separable
    assert torch.equal(predicted(train, train_labels, test, 3, k=k, distance=distance), test_labels)


@DISTANCES
def test_every_training_image_is_its_own_nearest_neighbor(distance):
    train, labels = drawn(30, 0), torch.arange(30) % 4
    assert torch.equal(predicted(train, labels, train, 4, k=1, distance=distance), labels)


def test_cosine_looks_at_directions_and_euclidean_at_distances():
    train, labels = torch.tensor([[10.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1])
    test = torch.tensor([[1.0, 0.1]])
    answers = [int(predicted(train, labels, test, 2, k=1, distance=distance)) for distance in ("cosine", "euclidean")]
    assert answers == [0, 1]


def test_how_long_features_are_does_not_matter_to_cosines_on_either_side():
    train, labels, test = drawn(30, 0), torch.arange(30) % 4, drawn(8, 1)
    expected = KNN().scores(evaluation(train, labels, test, 4))
    longer = [rows * torch.linspace(0.1, 10, len(rows)).double()[:, None] for rows in (train, test)]
    torch.testing.assert_close(KNN().scores(evaluation(longer[0], labels, longer[1], 4)), expected)


def test_equal_scores_go_to_the_lowest_class():
    train, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([2, 1])
    assert int(predicted(train, labels, torch.tensor([[1.0, 0.0]]), 3, k=2)) == 1


def test_nothing_is_random(separable):
    train, labels, test, _ = separable
    test = test + drawn(30, 3, dim=5).float() * 4
    first, *others = (predicted(train, labels, test, 3, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first, other) for other in others)


def test_weights_of_the_smallest_temperature_are_finite_and_the_nearest_class_wins():
    train, labels = torch.eye(3)[[0, 1, 2]], torch.tensor([0, 1, 2])
    smallest = 0.002
    assert KNN(temperature=smallest).settings.temperature == smallest
    assert predicted(train, labels, torch.eye(3) + 0.1, 3, temperature=smallest).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "given", [{"k": 0}, {"temperature": 0.0}, {"temperature": 0.001}, {"distance": "manhattan"}, {"neighbors": 5}]
)
def test_an_unknown_or_impossible_setting_is_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        KNN(**given)


def test_projections_are_compared_where_they_are_asked_for():
    data = torch.tensor([[0.0, 0.0], [3.0, 1.0]]), torch.tensor([0, 1]), torch.tensor([[1.0, 1.0]])
    settings = {"k": 1, "distance": "euclidean", "project": lambda features: features[:, 1:]}
    assert int(predicted(*data, 2, **settings)) == 0
    assert int(predicted(*data, 2, features="projector", **settings)) == 1


def test_a_backbone_alone_has_no_projections_to_compare():
    train, labels = torch.eye(2), torch.tensor([0, 1])
    assert KNN(features="projector").needs_training
    assert not KNN().needs_training
    with pytest.raises(CheckpointError, match="holds no projector"):
        KNN(features="projector").scores(evaluation(train, labels, train, 2))
