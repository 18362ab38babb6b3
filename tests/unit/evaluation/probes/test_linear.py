"""The paper's linear evaluation: steps of SGD as torch makes them, rates, and going on after an interruption."""

from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F

from cassle.core.errors import DivergenceError, SettingsError
from cassle.evaluation.probes.linear import Linear, first_state, rate, sgd_step
from cassle.training.state import StateFile
from tests.unit.evaluation.made import crops_of, evaluation


def test_steps_are_those_of_torchs_sgd_on_the_cross_entropy_of_a_linear_layer():
    draw = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(4, 3).double()
    weight = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach().clone()
    velocity = torch.zeros_like(weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    for lr in (0.5, 0.5, 0.05):
        features, labels = torch.randn(8, 4, generator=draw).double(), torch.randint(3, (8,), generator=draw)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        F.cross_entropy(layer(features), labels).backward()
        optimizer.step()
        sgd_step(weight, velocity, features, labels, lr, 0.9, 0.01)
    torch.testing.assert_close(weight[:, :-1], layer.weight.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(weight[:, -1], layer.bias.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("epochs", "drops", "rates"),
    [(5, [0.6, 0.8], [1, 1, 1, 0.1, 0.01]), (1, [0.6, 0.8], [1]), (3, [], [1, 1, 1]), (2, [0.0], [0.1, 0.1])],
)
def test_the_rate_falls_to_a_tenth_at_each_share_of_the_epochs(epochs, drops, rates):
    assert [rate(1.0, epoch, epochs, drops) for epoch in range(epochs)] == pytest.approx(rates)


def test_separable_classes_are_told_apart_without_a_mistake(separable):
    train, labels, test, test_labels = separable
    data = evaluation(train, labels, test, 3, crops=crops_of(train, labels, noise=0.5))
    assert torch.equal(Linear(epochs=10, batch_size=20).scores(data).argmax(dim=1), test_labels)


def noisy(**changes):
    labels = torch.arange(90) % 3
    draw = torch.Generator().manual_seed(5)
    train = torch.randn(90, 4, generator=draw) + 0.8 * torch.eye(3, 4)[labels]
    return evaluation(train, labels, train[:30], 3, **{"crops": crops_of(train, labels, 0.3), **changes})


def test_the_learning_rate_is_that_of_the_networks_objective_unless_a_setting_says_another():
    own = Linear(epochs=2).fit(noisy(linear_lr=3.0))
    assert torch.equal(own, Linear(epochs=2, lr=3.0).fit(noisy(linear_lr=0.1)))
    assert not torch.equal(own, Linear(epochs=2).fit(noisy(linear_lr=0.1)))


def test_the_learning_rate_is_for_256_images_and_scales_with_the_batch_asked_for():
    assert torch.equal(Linear(epochs=1, batch_size=512, lr=1.0).fit(noisy()), Linear(epochs=1, lr=2.0).fit(noisy()))


def test_the_same_seed_gives_the_same_classifier_and_another_one_another():
    first, again, other = (Linear(epochs=2).fit(noisy(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    start = first_state(3, 4, 0)["weight"]
    assert start.abs().max() <= 0.5


def test_only_chosen_images_are_trained_on(separable):
    train, labels, test, test_labels = separable
    chosen = torch.arange(len(labels)) % 2 == 0
    train = torch.where(chosen[:, None], train, torch.nan)
    data = evaluation(train, labels, test, 3, crops=crops_of(train, labels)).trained_on(chosen)
    assert torch.equal(Linear(epochs=10, batch_size=10).scores(data).argmax(dim=1), test_labels)


class Stopped(Exception):
    pass


def stopping_at(stop, crops):
    """The same crops, until an epoch is asked for."""

    @contextmanager
    def stopping(*what):
        with crops(*what) as epoch_of:

            def until(epoch):
                if epoch == stop:
                    raise Stopped
                return epoch_of(epoch)

            yield until

    return stopping


def test_a_fit_that_was_interrupted_ends_in_the_same_bits(tmp_path):
    def states(key):
        return StateFile(tmp_path, str(key), minutes=0)

    asked = []

    @contextmanager
    def counted(*what):
        with noisy().crops(*what) as epoch_of:
            yield lambda epoch: asked.append(epoch) or epoch_of(epoch)

    whole = Linear(epochs=6).fit(noisy())
    with pytest.raises(Stopped):
        Linear(epochs=6).fit(noisy(state=states, crops=stopping_at(4, noisy().crops)))
    assert torch.equal(Linear(epochs=6).fit(noisy(state=states, crops=counted)), whole)
    assert asked == [4, 5]


def test_a_finished_fit_is_not_made_again(tmp_path):
    def states(key):
        return StateFile(tmp_path, str(key), minutes=60)

    whole = Linear(epochs=2).fit(noisy(state=states))
    assert torch.equal(Linear(epochs=2).fit(noisy(state=states, crops=stopping_at(0, noisy().crops))), whole)
    with pytest.raises(Stopped):
        Linear(epochs=3).fit(noisy(state=states, crops=stopping_at(0, noisy().crops)))


def test_views_are_crops_and_flips_alone_at_the_size_of_the_network():
    asked = []

    def crops(*what):
        asked.append(what)
        return noisy().crops(*what)

    Linear(epochs=1, scale=(0.5, 1.0), flip=0.25).fit(noisy(crops=crops, view_size=8))
    (view, positions, batch_size, seed), *_ = asked
    assert (view.size, view.scale, view.flip) == (8, (0.5, 1.0), 0.25)
    assert view.jitter == view.gray == view.blur == view.solarize == view.rotate == 0
    assert (positions.tolist(), batch_size, seed) == (list(range(90)), 90, 0)


def test_a_classifier_that_diverges_is_refused():
    data = noisy()
    with pytest.raises(DivergenceError, match="give it a lower lr"):
        Linear(epochs=1).fit(noisy(crops=crops_of(data.train.features * float("inf"), data.train.labels)))


@pytest.mark.parametrize("given", [{"lr": 0}, {"epochs": 0}, {"momentum": 1.0}, {"flip": 2}, {"learning_rate": 1}])
def test_an_unknown_or_impossible_setting_is_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        Linear(**given)
