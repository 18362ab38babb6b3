"""The momentum network: a copy that follows, gets no gradient and keeps statistics of its own."""

import pytest
import torch

from cassle.core.options import Options
from cassle.nets.backbones.conv import Conv3Narrow
from cassle.nets.heads import mlp
from cassle.nets.momentum import MomentumNetwork


@pytest.fixture
def online():
    return Conv3Narrow(8, Options()), mlp([32, 8, 4])


@pytest.fixture
def momentum(online):
    return MomentumNetwork(*online)


def views(count=2):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(6, 3, 8, 8, generator=draw) for _ in range(count)]


def disturb(*modules):
    with torch.no_grad():
        for tensor in (tensor for module in modules for tensor in module.state_dict().values()):
            tensor.add_(1)


def snapshot(tensors):
    return {name: tensor.detach().clone() for name, tensor in tensors}


def test_it_starts_as_a_copy_that_shares_no_memory(online, momentum):
    before = snapshot(momentum.state_dict().items())
    for name, tensor in momentum.state_dict().items():
        owner, _, rest = name.partition(".")
        assert torch.equal(tensor, online[owner == "projector"].state_dict()[rest])
    disturb(*online)
    assert all(torch.equal(tensor, before[name]) for name, tensor in momentum.state_dict().items())


def test_it_gives_the_projections_of_the_views_in_their_order(online, momentum):
    backbone, projector = online
    expected = [projector(backbone(view)) for view in views(3)]
    for found, projection in zip(momentum(views(3)), expected, strict=True):
        torch.testing.assert_close(found, projection)


def test_no_gradient_passes_through_it(momentum):
    inputs = [view.requires_grad_() for view in views()]
    assert not any(parameter.requires_grad for parameter in momentum.parameters())
    assert not any(projection.requires_grad for projection in momentum(inputs))


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_following_moves_every_parameter_and_no_statistic(online, momentum, tau):
    disturb(*online)
    momentum(views())
    weights, statistics = snapshot(momentum.named_parameters()), snapshot(momentum.named_buffers())
    momentum.follow(*online, tau)
    for name, parameter in momentum.named_parameters():
        # The online value is the start value plus 1, so the average is the start value plus 1 - tau.
        torch.testing.assert_close(parameter.detach(), weights[name] + 1 - tau)
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in momentum.named_buffers())


@pytest.mark.parametrize("training", [True, False])
def test_its_statistics_come_from_its_own_passes_in_training_only(online, momentum, training):
    momentum.train(training)
    momentum(views(2))
    counts = {int(value) for name, value in momentum.named_buffers() if name.endswith("num_batches_tracked")}
    assert counts == {2 if training else 0}
    assert all(int(v) == 0 for m in online for n, v in m.named_buffers() if n.endswith("num_batches_tracked"))
