"""DeepCluster-v2: the loss in closed form, clusters that are found once per epoch, and a memory that lasts a task."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from cassle.core.errors import SettingsError
from cassle.core.options import Options, parse
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.nets.clusters import nearest_centroid
from cassle.objectives.base import Moment, TaskStart
from cassle.objectives.deepclusterv2 import DeepClusterV2, DeepClusterV2Settings, deepcluster_loss
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs
from tests.unit.objectives.reads import CountReads

DIM, SIZES = 4, [3, 5, 2]
IMAGES, BATCH, EPOCHS = 12, 4, 2
STEPS = IMAGES // BATCH
IDS = torch.arange(IMAGES) * 3 + 100


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return Conv3Narrow(8, Options())


@pytest.fixture
def make(backbone):
    """Function from settings to an objective of small sizes."""

    def make(**settings):
        sizes = {"hidden_dim": 8, "output_dim": DIM, "num_prototypes": SIZES, "kmeans_iters": 3}
        torch.manual_seed(1)
        return DeepClusterV2(DeepClusterV2Settings(**{**sizes, **settings}), backbone, 10)

    return make


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def start(seed=0, task=1, images=IMAGES):
    return TaskStart(task, seed, lambda: (IDS[:images], drawn(images, 32, seed=9).relu()))


def moment(step, epochs=EPOCHS):
    return Moment(epoch=step // STEPS, step=step, epochs=epochs, steps=epochs * STEPS)


def batch_of(ids):
    n = len(ids)
    images, replayed = torch.zeros(n, 3, 8, 8, dtype=torch.uint8), torch.zeros(n, dtype=torch.bool)
    return Batch(ids, images, torch.zeros(n, dtype=torch.long), 1, replayed, torch.Generator())


def outputs_of(objective, n=BATCH, seed=0, views=2):
    z = [drawn(n, DIM, seed=10 * seed + view).requires_grad_() for view in range(views)]
    return Outputs([], z, [objective.prototype_scores(view) for view in z])


def state(objective):
    return {name: value.clone() for name, value in objective.state_dict().items()}


# Loss


def test_scores_that_say_nothing_cost_the_logarithm_of_the_number_of_clusters():
    scores = [torch.zeros(2, 3, 4).double(), torch.zeros(2, 3, 8).double()]
    loss = deepcluster_loss(scores, torch.zeros(2, 3, dtype=torch.long), 0.1)
    assert loss.item() == pytest.approx((math.log(4) + math.log(8)) / 2)


def test_views_at_their_own_centroid_and_orthogonal_to_the_others():
    scores = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    loss = deepcluster_loss([scores], torch.arange(4)[None], temperature=0.5)
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.5)))


def test_an_image_in_no_cluster_does_not_count():
    scores, clusters = drawn(2, 5, 4), torch.tensor([[1, -1, 0, 3, -1]])
    kept = torch.tensor([0, 2, 3])
    expected = deepcluster_loss([scores[:, kept]], clusters[:, kept], 0.1)
    torch.testing.assert_close(deepcluster_loss([scores], clusters, 0.1), expected)


def test_the_order_of_images_and_views_does_not_matter_but_their_pairing_does():
    scores, clusters, order = drawn(2, 5, 4).double(), torch.tensor([[1, 2, 0, 3, 1]]), torch.tensor([3, 0, 4, 1, 2])
    expected = deepcluster_loss([scores], clusters, 0.1)
    torch.testing.assert_close(deepcluster_loss([scores[:, order]], clusters[:, order], 0.1), expected)
    torch.testing.assert_close(deepcluster_loss([scores.flip(0)], clusters, 0.1), expected)
    assert not torch.isclose(deepcluster_loss([scores[:, order]], clusters, 0.1), expected)


# Clusters


def test_a_task_starts_with_the_normalized_projections_of_clean_images_in_evaluation_mode(make):
    objective = make()
    before = {name: value.clone() for name, value in objective.projector.state_dict().items()}
    objective.begin_task(start())
    assert objective.projector.training
    assert all(torch.equal(value, before[name]) for name, value in objective.projector.state_dict().items())
    expected = F.normalize(objective.projector.eval()(start().clean_features()[1]), dim=1)
    for view in objective.memory.points:
        torch.testing.assert_close(view, expected)


def test_every_image_has_a_cluster_of_each_head_before_the_first_step(make):
    objective = make()
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    clusters = objective.memory.assigned(IDS)
    assert clusters.min() >= 0
    assert (clusters < torch.tensor(SIZES)[:, None]).all()


def test_a_cluster_is_the_nearest_centroid_of_the_heads_view(make):
    objective = make()
    objective.begin_task(start())
    objective.memory.write(IDS, [F.normalize(drawn(IMAGES, DIM, seed=view), dim=1) for view in (1, 2)])
    objective.begin_epoch(moment(0))
    torch.testing.assert_close(objective.centroids.norm(dim=1), torch.ones(sum(SIZES)))
    for head, centroids in enumerate(objective.centroids.split(SIZES)):
        expected = nearest_centroid(objective.memory.points[head % 2], centroids)
        assert torch.equal(objective.memory.assigned(IDS)[head], expected)


def test_an_epoch_clusters_the_projections_of_the_epoch_before(make):
    objective = make()
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    outputs = outputs_of(objective)
    objective.after_loss(outputs, batch_of(IDS[:BATCH]))
    first = state(objective)
    objective.begin_epoch(moment(STEPS))
    assert not torch.equal(objective.centroids, first["centroids"])
    for view in range(2):
        torch.testing.assert_close(objective.memory.points[view][:BATCH], F.normalize(outputs.z[view], dim=1))


@pytest.mark.parametrize("other", [{"seed": 1}, {"task": 2}])
def test_first_centroids_are_drawn_for_seed_and_task(make, other):
    found = []
    for given in ({}, {}, other):
        objective = make()
        objective.begin_task(start(**given))
        objective.begin_epoch(moment(0))
        found.append(objective.centroids)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_first_centroids_are_drawn_anew_for_every_epoch(make):
    objective = make()
    objective.begin_task(start())
    found = []
    for epoch in range(2):
        objective.begin_epoch(moment(epoch * STEPS))
        found.append(objective.centroids.clone())
    assert not torch.equal(*found)


def test_more_clusters_than_images_are_refused_before_training(make):
    with pytest.raises(SettingsError, match=r"wants 5 clusters, but task 1 has 4 .* lower objective\.num_prototypes"):
        make().begin_task(start(images=4))


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_heads_without_clusters_are_refused(sizes):
    with pytest.raises(SettingsError, match="num_prototypes"):
        parse(DeepClusterV2Settings, {"num_prototypes": sizes}, "objective")


# Step


@pytest.mark.parametrize("views", [2, 3])
def test_every_view_is_asked_for_the_image_s_clusters(make, views):
    objective = make(temperature=0.3)
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    outputs, ids = outputs_of(objective, views=views), IDS[[7, 2, 9, 0]]
    scores = [torch.stack(own) for own in zip(*(p.split(SIZES, dim=1) for p in outputs.p), strict=True)]
    expected = deepcluster_loss(scores, objective.memory.assigned(ids), 0.3)
    assert torch.equal(objective.loss(outputs, batch_of(ids)), expected)


def test_a_replayed_image_is_of_the_cluster_that_its_views_score_highest(make):
    objective = make()
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    outputs, ids = outputs_of(objective), torch.tensor([3, *IDS[:3].tolist()])
    heads = [torch.stack(own) for own in zip(*(p.split(SIZES, dim=1) for p in outputs.p), strict=True)]
    expected = objective.memory.assigned(ids)
    for head, scores in enumerate(heads):
        expected[head, 0] = scores[head % 2, 0].argmax()
    torch.testing.assert_close(objective.loss(outputs, batch_of(ids)), deepcluster_loss(heads, expected, 0.1))


def test_centroids_are_not_trained(make):
    objective = make()
    trained = {id(p) for group in objective.groups() for p in group.parameters}
    assert trained == {id(p) for p in objective.projector.parameters()}
    objective.loss(outputs_of(objective), batch_of(IDS[:BATCH])).backward()
    assert objective.centroids.grad is None


def test_the_loss_leaves_the_state_alone(make):
    objective = make()
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    before = state(objective)
    objective.loss(outputs_of(objective), batch_of(IDS[:BATCH]))
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_a_step_never_waits_for_the_device(make, backbone):
    objective = make()
    objective.begin_task(start())
    objective.begin_epoch(moment(0))
    batch = batch_of(IDS[:BATCH])
    with CountReads() as counter:
        outputs = objective(backbone, list(drawn(2, BATCH, 3, 8, 8)))
        objective.loss(outputs, batch).backward()
        with torch.no_grad():
            objective.after_loss(outputs, batch)
        objective.after_backward(moment(0))
        objective.after_step(backbone, moment(0))
    assert counter.reads == 0


# Life cycle


def train(objective, backbone, first=0, last=EPOCHS * STEPS):
    """Train by plain gradient descent from one step of a task to another, as a trainer would."""
    pictures = drawn(IMAGES, 2, 3, 8, 8, seed=3)
    weights = [*backbone.parameters(), *objective.projector.parameters()]
    for step in range(first, last):
        if step == first or step % STEPS == 0:
            objective.begin_epoch(moment(step))
        rows = torch.arange(BATCH) + step % STEPS * BATCH
        batch = batch_of(IDS[rows])
        outputs = objective(backbone, list(pictures[rows].unbind(1)))
        loss = objective.loss(outputs, batch)
        with torch.no_grad():
            objective.after_loss(outputs, batch)
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight -= 0.1 * gradient
        objective.after_step(backbone, moment(step))


@pytest.mark.parametrize("stop", range(1, EPOCHS * STEPS))
def test_a_training_that_was_interrupted_at_any_step_ends_in_the_same_tensors(make, backbone, stop):
    whole, before, after = ((make(), copy.deepcopy(backbone)) for _ in range(3))
    for objective, _ in (whole, before):
        objective.begin_task(start())
    train(*whole)
    train(*before, last=stop)
    for restored, saved in zip(after, before, strict=True):
        restored.load_state_dict(saved.state_dict(), strict=True)
    train(*after, first=stop)
    for one, two in zip(whole, after, strict=True):
        assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_end_of_a_task_empties_the_memory_so_that_checkpoints_have_one_shape(make, backbone):
    objective = make()
    new = state(objective)
    objective.begin_task(start())
    train(objective, backbone, last=EPOCHS * STEPS - 1)
    assert objective.memory.points.shape == (2, IMAGES, DIM)
    train(objective, backbone, first=EPOCHS * STEPS - 1)
    assert {name: value.shape for name, value in objective.state_dict().items()} == {
        name: value.shape for name, value in new.items()
    }


def test_the_next_task_starts_from_the_centroids_and_fills_the_memory_anew(make, backbone):
    objective, following = make(), make()
    objective.begin_task(start())
    train(objective, backbone)
    following.load_state_dict(objective.state_dict(), strict=True)
    assert torch.equal(following.centroids, objective.centroids)
    following.begin_task(TaskStart(2, 0, lambda: (torch.arange(7), drawn(7, 32))))
    assert following.memory.points.shape == (2, 7, DIM)
    assert following.memory.assigned(IDS).eq(-1).all()


def test_a_state_of_other_numbers_of_clusters_is_refused(make):
    with pytest.raises(RuntimeError, match="size mismatch for centroids"):
        make(num_prototypes=[3, 5, 3]).load_state_dict(make().state_dict())
