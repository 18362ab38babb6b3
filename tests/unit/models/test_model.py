"""The network and its frozen copy: what they return, and that a teacher learns nothing."""

import copy
from itertools import chain

import pytest
import torch
from torch import nn

from cassle.core.options import Options
from cassle.models.model import Model
from cassle.models.teacher import Teacher
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.objectives.base import objectives
from cassle.strategies.cassle import Cassle
from cassle.tensors.batch import Batch
from cassle.training.step import training_step

SIZE, CLASSES = 8, 5
WIDTHS = {"hidden_dim": 12, "output_dim": 6}


def images(count, seed=0):
    """Random images (count, 3, 8, 8), neither centered nor of unit variance."""
    draw = torch.Generator().manual_seed(seed)
    return 2 + 3 * torch.randn(count, 3, SIZE, SIZE, generator=draw)


@pytest.fixture(params=["simclr", "barlow_twins", "byol"])
def model(request):
    """A network in training mode, with running statistics that are those of no batch below."""
    torch.manual_seed(0)
    backbone = Conv3Narrow(SIZE, Options())
    kind = objectives.get(request.param)
    made = Model(backbone, kind(kind.Settings(**WIDTHS), backbone, CLASSES), CLASSES)
    for seed in range(3):
        made([images(16, seed=100 + seed)])
    return made


def bits(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def tensors(outputs):
    """Features, projections and stage maps of all views."""
    return [*outputs.features, *outputs.z, *chain.from_iterable(outputs.maps)]


def changed(module, before):
    """The names of tensors that are not bit for bit what they were."""
    return {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}


def test_a_model_returns_one_output_per_view_in_their_order(model):
    model.eval()
    views = [images(4, seed=1), images(4, seed=2)]
    outputs = model(views)
    for view, features, z in zip(views, outputs.features, outputs.z, strict=True):
        torch.testing.assert_close(features, model.backbone(view))
        torch.testing.assert_close(z, model.objective.project(features))


def test_a_model_returns_stage_maps_only_if_asked_for_them(model):
    views = [images(4, seed=1), images(4, seed=2)]
    assert model(views).maps == []
    assert [[stage.shape[1] for stage in view] for view in model(views, maps=True).maps] == [[8, 16, 32]] * 2


def test_the_online_classifier_takes_features_to_the_classes_of_the_dataset(model):
    assert model.classifier(model([images(4)]).features[0]).shape == (4, CLASSES)


def test_a_teacher_returns_what_the_saved_model_returns_in_evaluation(model):
    saved = copy.deepcopy(model).eval()
    views = [images(4, seed=1), images(4, seed=2)]
    expected, found = saved(views, maps=True), Teacher(model)(views)
    assert [len(view) for view in found.maps] == [3, 3]
    assert all(torch.equal(a, b) for a, b in zip(tensors(found), tensors(expected), strict=True))


def test_a_frozen_teacher_gives_an_image_the_same_output_whatever_the_batch(model):
    teacher = Teacher(model.double())
    image = images(1).double()
    alone = teacher([image])
    for others in (10 * images(7, seed=1).double(), torch.zeros(2, 3, SIZE, SIZE, dtype=torch.float64)):
        among = teacher([torch.cat([image, others])])
        for name in ("features", "z"):
            torch.testing.assert_close(getattr(among, name)[0][:1], getattr(alone, name)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batchnorm", ["frozen", "batch"])
def test_a_teacher_normalizes_with_the_statistics_of_its_mode(model, batchnorm):
    model.double()
    conv, norm, relu = copy.deepcopy(model.backbone.blocks[0])
    view = images(6).double()
    x = conv(view)
    mean, var = norm.running_mean, norm.running_var
    if batchnorm == "batch":
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    expected = relu((x - mean[:, None, None]) / (var[:, None, None] + norm.eps).sqrt())
    torch.testing.assert_close(Teacher(model, batchnorm)([view]).maps[0][0], expected.detach())


def test_a_teacher_in_batch_mode_depends_on_the_batch(model):
    teacher = Teacher(model, "batch")
    one, two = (teacher([torch.cat([images(1), images(7, seed=seed)])]) for seed in (1, 2))
    assert not torch.allclose(one.features[0][0], two.features[0][0], rtol=1e-3)


@pytest.mark.parametrize("batchnorm", ["frozen", "batch"])
def test_nothing_switches_the_mode_of_a_teacher(model, batchnorm):
    teacher = Teacher(model, batchnorm)
    owner = nn.ModuleList([teacher])
    for switch in (teacher.train, teacher.eval, owner.train, owner.eval, lambda: teacher.train(False)):
        switch()
        assert {module.training for module in teacher.modules()} == {batchnorm == "batch"}


@pytest.mark.parametrize("batchnorm", ["frozen", "batch"])
def test_no_gradient_passes_through_a_teacher(model, batchnorm):
    teacher = Teacher(model, batchnorm)
    assert not any(p.requires_grad for p in teacher.parameters())
    outputs = teacher([images(4).requires_grad_(), images(4, seed=1)])
    assert not any(tensor.requires_grad for tensor in tensors(outputs))


def test_a_teacher_runs_no_heads_beyond_the_projector(model):
    before = bits(model)
    teacher = Teacher(model, "batch")
    outputs = teacher([images(4)])
    assert outputs.p == outputs.targets == []
    assert all(key.startswith(("backbone.", "objective.projector.")) for key in changed(teacher, before))


def after_a_training_step(model, batchnorm):
    """Student, teacher and the tensors both began with, after a whole step of CaSSLe with this teacher."""
    student, saved = copy.deepcopy(model), bits(model)
    settings = Cassle.Settings(**Cassle.resolve({"distillation": {"hidden_dim": 12}}, type(model.objective)))
    strategy = Cassle(settings, student)
    teacher = Teacher(model, batchnorm)
    learning = [*student.parameters(), *strategy.parameters(), *teacher.parameters()]
    optimizer = torch.optim.SGD(learning, lr=0.1, momentum=0.9, weight_decay=0.1)
    index = torch.arange(8)
    pixels = torch.zeros(8, 3, SIZE, SIZE, dtype=torch.uint8)
    batch = Batch(index, pixels, index % CLASSES, 1, index < 0, torch.Generator())
    views = [images(8, seed=1), images(8, seed=2)]
    losses, _ = training_step(batch, lambda batch: views, student, strategy, teacher)
    assert losses.penalty > 0
    losses.total.backward()
    optimizer.step()
    return student, teacher, saved


def test_a_training_step_leaves_a_frozen_teacher_bit_for_bit_as_it_was(model):
    student, teacher, saved = after_a_training_step(model, "frozen")
    assert changed(teacher, saved) == set()
    assert changed(student, saved) >= {"backbone.blocks.0.0.weight", "backbone.blocks.0.1.running_mean"}


def test_a_training_step_moves_only_statistics_of_a_teacher_in_batch_mode(model):
    _, teacher, saved = after_a_training_step(model, "batch")
    moved = {key.split(".")[-1] for key in changed(teacher, saved)}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


MOMENTUM = [name for name in objectives.names() if objectives.get(name).has_momentum]


@pytest.mark.parametrize("name", MOMENTUM)
def test_a_momentum_network_can_be_the_teacher(name):
    torch.manual_seed(0)
    backbone, kind = Conv3Narrow(SIZE, Options()), objectives.get(name)
    made = Model(backbone, kind(kind.Settings(), backbone, CLASSES), CLASSES).eval()
    with torch.no_grad():
        for parameter in made.objective.momentum.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    network = made.objective.momentum
    features = network.backbone(images(4))
    projector = network.projector[0] if name == "dino" else network.projector
    teacher = Teacher(copy.deepcopy(made), "frozen", "momentum")
    outputs = teacher([images(4)])
    assert torch.equal(outputs.features[0], features)
    assert torch.equal(outputs.z[0], projector(features))
    assert not torch.equal(outputs.z[0], Teacher(copy.deepcopy(made))([images(4)]).z[0])
    if name == "dino":
        scores = teacher.objective.prototype_scores(outputs.z[0]) + teacher.objective.center
        torch.testing.assert_close(scores, network.projector(features))


def test_every_objective_says_rightly_whether_it_has_a_momentum_network():
    backbone = Conv3Narrow(SIZE, Options())
    for name in objectives.names():
        kind = objectives.get(name)
        assert hasattr(kind(kind.Settings(), backbone, CLASSES), "momentum") == kind.has_momentum
