"""Optimizers: closed forms, the order of a step, and what a group ends up with."""

import math

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cassle.core.errors import SettingsError
from cassle.core.options import parse
from cassle.objectives.base import Group
from cassle.settings.recipe import AdamWSettings, LARSSettings, OptimizerSettings, SGDSettings
from cassle.training.optim import LARS, build_optimizer

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Holder(BaseModel):
    optimizer: OptimizerSettings


def parameter(*values, shape=None):
    tensor = torch.tensor(values, dtype=torch.float64)
    return nn.Parameter(tensor if shape is None else tensor.reshape(shape))


def with_gradient(weight, *values):
    weight.grad = torch.tensor(values, dtype=torch.float64).reshape(weight.shape)
    return weight


def test_lars_scales_by_weight_norm_over_gradient_norm():
    w = with_gradient(parameter(3.0, 4.0, shape=(1, 2)), 0.0, 2.0)
    LARS([w], lr=0.5, momentum=0.0, weight_decay=0.1, eta=0.02, clip=False).step()
    q = 0.02 * 5 / (2 + 0.1 * 5 + 1e-8)
    expected = torch.tensor([[3 - 0.5 * q * 0.3, 4 - 0.5 * q * 2.4]], dtype=torch.float64)
    torch.testing.assert_close(w.detach(), expected, rtol=1e-12, atol=0)


def test_clipped_lars_never_steps_further_than_sgd():
    w = with_gradient(parameter(30.0, 40.0, shape=(1, 2)), 0.0, 0.01)
    LARS([w], lr=0.5, momentum=0.0, eta=0.02).step()
    torch.testing.assert_close(w.detach(), torch.tensor([[30.0, 40.0 - 0.5 * 0.01]], dtype=torch.float64))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(
    ("weight", "gradient"),
    [((0.0, 0.0), (1.0, 2.0)), ((1.0, 2.0), (0.0, 0.0))],
    ids=["weight is zero", "gradient is zero"],
)
def test_a_zero_norm_leaves_the_gradient_unscaled_and_undecayed(weight, gradient, clip):
    w = with_gradient(parameter(*weight, shape=(1, 2)), *gradient)
    LARS([w], lr=0.1, weight_decay=0.5, clip=clip).step()
    expected = torch.tensor([weight], dtype=torch.float64) - 0.1 * torch.tensor([gradient], dtype=torch.float64)
    torch.testing.assert_close(w.detach(), expected, rtol=1e-15, atol=0)


def test_exclusion_is_a_question_of_shape_not_of_size():
    flat, column = (with_gradient(parameter(1.0, 2.0, shape=shape), 1.0, 1.0) for shape in [(2,), (2, 1)])
    LARS([flat, column], lr=0.1, momentum=0.0, weight_decay=0.5).step()
    torch.testing.assert_close(flat.detach(), torch.tensor([0.9, 1.9], dtype=torch.float64))
    assert not torch.equal(flat.detach(), column.detach().flatten())


def test_lars_with_a_learning_rate_of_zero_stays_where_it_is():
    w = with_gradient(parameter(1.0, 2.0, shape=(1, 2)), 1.0, 1.0)
    LARS([w], lr=0.0).step()
    assert w.tolist() == [[1.0, 2.0]]


def test_momentum_sums_gradients():
    w = parameter(0.0)
    optimizer = LARS([w], lr=1.0, momentum=0.5)
    for gradient in (1.0, 2.0):
        with_gradient(w, gradient)
        optimizer.step()
    assert w.item() == -(1.0 + (0.5 + 2.0))


def test_a_parameter_without_gradient_and_its_momentum_stay():
    still, moving = parameter(1.0, shape=(1, 1)), with_gradient(parameter(1.0, shape=(1, 1)), 1.0)
    optimizer = LARS([still, moving], lr=0.1, weight_decay=0.1)
    optimizer.step()
    assert still.item() == 1.0
    assert still not in optimizer.state
    moved = moving.item()
    buffer = optimizer.state[moving]["momentum_buffer"].clone()
    moving.grad = None
    optimizer.step()
    assert moving.item() == moved
    assert torch.equal(optimizer.state[moving]["momentum_buffer"], buffer)


def test_lars_scales_the_gradient_that_the_closure_has_just_computed():
    w = with_gradient(parameter(3.0, 4.0, shape=(1, 2)), 100.0, 100.0)
    alone = with_gradient(parameter(3.0, 4.0, shape=(1, 2)), 6.0, 8.0)
    LARS([alone], lr=0.1, weight_decay=0.1).step()
    optimizer = LARS([w], lr=0.1, weight_decay=0.1)

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 25.0
    assert torch.equal(w, alone)


class CountReads(TorchDispatchMode):
    """Counts how often a value is read back from the device."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_of_lars_never_waits_for_the_device(device):
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).to(device)
    optimizer = LARS(network.parameters(), lr=0.1, weight_decay=0.1)
    network(torch.randn(5, 4, device=device)).sum().backward()
    with CountReads() as counter:
        optimizer.step()
        optimizer.step()
    assert counter.reads == 0


@pytest.mark.parametrize("settings", [SGDSettings(lr=0.1), LARSSettings(lr=0.1), AdamWSettings(lr=0.1)])
def test_an_optimizer_restored_from_its_state_goes_on_bit_for_bit(settings):
    def start():
        torch.manual_seed(0)
        weights = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))]
        return weights, build_optimizer(settings, [Group("backbone", weights, lr_scale=2.0)], 256)

    def step(weights, optimizer, seed):
        torch.manual_seed(seed)
        for w in weights:
            w.grad = torch.randn_like(w)
        optimizer.step()

    weights, optimizer = start()
    step(weights, optimizer, 1)
    step(weights, optimizer, 2)
    first, saved = start()
    step(first, saved, 1)
    second, restored = start()
    for new, old in zip(second, first, strict=True):
        new.data.copy_(old)
    restored.load_state_dict(saved.state_dict())
    step(second, restored, 2)
    assert all(torch.equal(a, b) for a, b in zip(weights, second, strict=True))
    assert restored.param_groups[0]["base_lr"] == 0.2


def test_sgd_decays_every_parameter_and_sums_gradients():
    w = parameter(1.0, -2.0)
    optimizer = build_optimizer(SGDSettings(lr=0.1, weight_decay=0.01), [Group("backbone", [w])], 256)
    buffer, expected = 0.0, w.detach().clone()
    for gradient in ((1.0, 2.0), (0.5, -1.0), (0.0, 3.0)):
        with_gradient(w, *gradient)
        optimizer.step()
        buffer = 0.9 * buffer + torch.tensor(gradient, dtype=torch.float64) + 0.01 * expected
        expected = expected - 0.1 * buffer
    torch.testing.assert_close(w.detach(), expected, rtol=1e-12, atol=0)


def test_adamw_is_the_same_in_any_memory_format():
    torch.manual_seed(0)
    start, gradient = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        w = nn.Parameter(start.clone().to(memory_format=layout))
        optimizer = build_optimizer(AdamWSettings(lr=0.1), [Group("backbone", [w])], 256)
        for _ in range(2):
            w.grad = gradient.clone()
            optimizer.step()
        results.append(w.detach())
    torch.testing.assert_close(*results)


def test_groups_keep_name_base_rate_and_whether_they_are_scheduled():
    weights = [parameter(1.0) for _ in range(4)]
    groups = [
        Group("backbone", [weights[0]]),
        Group("predictor", [weights[1]], lr_scale=2.0, scheduled=False),
        Group("empty", []),
        Group("classifier", [weights[2], weights[3]]),
    ]
    overrides = {"classifier": {"lr": 0.3, "weight_decay": 0.0}}
    optimizer = build_optimizer(LARSSettings(lr=0.4, weight_decay=1e-4), groups, 128, overrides)
    keys = ("name", "lr", "base_lr", "weight_decay", "scheduled")
    assert [tuple(group[key] for key in keys) for group in optimizer.param_groups] == [
        ("backbone", 0.2, 0.2, 1e-4, True),
        ("predictor", 0.4, 0.4, 1e-4, False),
        ("classifier", 0.3, 0.3, 0.0, True),
    ]
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1, 2]


def test_a_rate_for_no_particular_batch_is_taken_as_it_is():
    settings = AdamWSettings(lr=0.4, lr_per=None, betas=(0.8, 0.9))
    optimizer = build_optimizer(settings, [Group("backbone", [parameter(1.0)])], 1024)
    assert optimizer.param_groups[0]["lr"] == 0.4
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_every_setting_reaches_lars():
    settings = LARSSettings(lr=1.0, momentum=0.8, eta=0.001, clip=False, exclude_1d=False, weight_decay=0.1)
    (group,) = build_optimizer(settings, [Group("backbone", [parameter(1.0)])], 256).param_groups
    assert {key: group[key] for key in ("momentum", "eta", "clip", "exclude_1d", "weight_decay")} == {
        "momentum": 0.8,
        "eta": 0.001,
        "clip": False,
        "exclude_1d": False,
        "weight_decay": 0.1,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "sgd", "lr": 0.1, "eta": 0.02}, "unknown key 'optimizer.eta'"),
        ({"name": "adamw", "lr": 0.1, "momentum": 0.9}, "unknown key 'optimizer.momentum'"),
        ({"name": "larss", "lr": 0.1}, "'lars'"),
        ({"name": "lars", "lr": 0}, "greater than 0"),
        ({"name": "lars", "lr": math.nan}, "finite number"),
        ({"name": "lars"}, "'optimizer.lr' is missing"),
    ],
)
def test_settings_that_an_optimizer_does_not_have_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        parse(Holder, {"optimizer": given}, "recipe")
