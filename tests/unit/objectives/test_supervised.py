"""Supervised training: cross-entropy in closed form, with and without a projector before the classifier."""

import math

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.options import Options, parse
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.supervised import Supervised, SupervisedSettings, supervised_loss
from cassle.tensors.batch import Batch
from cassle.tensors.outputs import Outputs

CLASSES = 5
PROJECTORS = pytest.mark.parametrize("projector", ["none", "mlp"])


@pytest.fixture
def backbone():
    return Conv3Narrow(8, Options())


def made(backbone, projector="none"):
    settings = parse(SupervisedSettings, {"projector": projector, "hidden_dim": 8, "output_dim": 6}, "test")
    return Supervised(settings, backbone, CLASSES)


def batch_of(labels):
    n = len(labels)
    return Batch(torch.arange(n), torch.zeros(n, 3, 8, 8), labels, 0, torch.zeros(n, dtype=bool), torch.Generator())


def images(n=6):
    return list(torch.randn(2, n, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


LABELS = torch.tensor([0, 2, 4, 4])


def test_a_network_that_knows_nothing_pays_the_logarithm_of_the_number_of_classes():
    close(supervised_loss([torch.zeros(4, CLASSES, dtype=torch.float64)] * 2, LABELS), math.log(CLASSES))


@pytest.mark.parametrize("margin", [1.0, 7.0])
def test_a_margin_for_the_right_class_is_worth_its_softmax(margin):
    right = margin * torch.eye(CLASSES, dtype=torch.float64)[LABELS]
    close(supervised_loss([right], LABELS), math.log(1 + (CLASSES - 1) * math.exp(-margin)))


def test_views_are_averaged_and_the_order_of_images_does_not_matter():
    draw = torch.Generator().manual_seed(0)
    views = [torch.randn(4, CLASSES, dtype=torch.float64, generator=draw) for _ in range(3)]
    loss, order = supervised_loss(views, LABELS), torch.tensor([2, 0, 3, 1])
    close(loss, sum(supervised_loss([view], LABELS) for view in views) / 3)
    close(supervised_loss([view[order] for view in views], LABELS[order]), loss)


@pytest.mark.parametrize(("projector", "dim"), [("none", 32), ("mlp", 6)])
def test_the_classifier_stands_on_the_features_or_on_a_projection_of_them(backbone, projector, dim):
    objective = made(backbone, projector)
    outputs = objective(backbone, images())
    assert objective.output_dim == dim
    assert objective.classifier.weight.shape == (CLASSES, dim)
    for features, z, logits in zip(outputs.features, outputs.z, outputs.p, strict=True):
        assert z.shape == (6, dim)
        assert torch.equal(logits, objective.classify(z))
        assert (z is features) == (projector == "none")


def test_the_projector_is_one_hidden_layer_with_batchnorm(backbone):
    layers = [type(layer).__name__ for layer in made(backbone, "mlp").projector]
    assert layers == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


@PROJECTORS
def test_the_loss_is_that_of_all_views_with_the_batchs_labels(backbone, projector):
    objective, labels = made(backbone, projector), torch.tensor([0, 1, 2, 3, 4, 0])
    outputs = objective(backbone, images())
    loss = objective.loss(outputs, batch_of(labels))
    assert loss == supervised_loss(outputs.p, labels)
    assert loss != objective.loss(outputs, batch_of(labels.roll(1)))


@PROJECTORS
def test_backbone_projector_and_classifier_learn(backbone, projector):
    objective = made(backbone, projector)
    objective.loss(objective(backbone, images()), batch_of(torch.arange(6) % CLASSES)).backward()
    (group,) = objective.groups()
    assert {id(p) for p in group.parameters} == {id(p) for p in objective.parameters()}
    assert all(p.grad is not None for p in (*backbone.parameters(), *objective.parameters()))


def test_it_says_that_it_reads_labels():
    assert Supervised.supervised


@PROJECTORS
def test_a_checkpoint_carries_all_weights_strictly(backbone, projector):
    objective, other = made(backbone, projector).eval(), made(backbone, projector).eval()
    other.load_state_dict(objective.state_dict(), strict=True)
    features = torch.randn(3, 32)
    one, two = (module.classify(module.project(features)) for module in (objective, other))
    assert torch.equal(one, two)


def test_a_checkpoint_with_a_projector_does_not_load_without_one(backbone):
    with pytest.raises(RuntimeError, match="Unexpected key"):
        made(backbone, "none").load_state_dict(made(backbone, "mlp").state_dict())


def test_an_unknown_projector_is_refused(backbone):
    with pytest.raises(SettingsError, match="'projector' = 'linear'"):
        made(backbone, "linear")


def test_logits_of_one_view_are_enough():
    logits = torch.zeros(4, CLASSES, dtype=torch.float64)
    close(supervised_loss(Outputs([], [], [logits]).p, LABELS), math.log(CLASSES))
