"""The linear probe: its optimum in closed form, and a penalty chosen without test labels."""

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F

import cassle.evaluation.probes.linear_cached as module
from cassle.errors import SettingsError
from cassle.evaluation.probes.linear_cached import LinearCached, fit_logistic, predict


def drawn(rows, seed=0, dim=4):
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(weight, features, labels, penalty):
    """Mean cross-entropy plus half the penalty times the squared weights, the bias (last column) left out."""
    scores = features @ weight[:, :-1].T + weight[:, -1]
    return F.cross_entropy(scores, labels) + penalty / 2 * weight[:, :-1].square().sum()


@pytest.mark.parametrize("penalty", [0.0, 1e-3, 10.0])
def test_loss_and_gradient_given_to_the_optimiser_are_those_of_autograd(monkeypatch, penalty):
    features, labels, start = drawn(20), torch.arange(20) % 3, drawn(3, seed=1, dim=5)
    given = {}

    def minimize(function, start, **options):
        given.update(function=function, start=start, jac=options["jac"])
        return scipy.optimize.OptimizeResult(x=start)

    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    fit_logistic(features, labels, 3, penalty, start.numpy())
    assert given["jac"] is True
    loss, gradient = given["function"](given["start"])
    weight = start.clone().requires_grad_()
    expected = objective(weight, features, labels, penalty)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient.reshape(3, 5), weight.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("penalty", [1e-2, 1.0])
def test_the_fit_ends_where_the_gradient_vanishes(penalty):
    features, labels = drawn(50), torch.arange(50) % 3
    weight = torch.from_numpy(fit_logistic(features, labels, 3, penalty, np.zeros((3, 5)))).requires_grad_()
    (gradient,) = torch.autograd.grad(objective(weight, features, labels, penalty), weight)
    assert gradient.abs().max() < 1e-4


def test_an_overwhelming_penalty_leaves_the_bias_which_gives_the_shares_of_the_classes():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weight = fit_logistic(drawn(10), labels, 3, 1e6, np.zeros((3, 5)))
    np.testing.assert_allclose(weight[:, :-1], 0, atol=1e-5)
    shares = torch.from_numpy(weight[:, -1]).softmax(dim=0)
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64), rtol=1e-3, atol=1e-3)


def test_the_prediction_is_the_largest_score_bias_included():
    weight = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.2, 0.3]])
    assert predict(weight, features).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", [0, 1])
def test_separable_classes_are_told_apart_without_a_mistake(separable, seed):
    train, train_labels, test, test_labels = separable
    assert torch.equal(LinearCached().predict(train, train_labels, test, 3, seed), test_labels)


def noisy(rows=90, seed=5):
    """Features of three classes that overlap, so that answers depend on the fit."""
    labels = torch.arange(rows) % 3
    return (drawn(rows, seed) + 0.8 * torch.eye(3, 4, dtype=torch.float64)[labels]).float(), labels


def test_the_same_seed_gives_the_same_answers():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    first, again = (LinearCached().predict(train, labels, test, 3, seed=3) for _ in range(2))
    assert torch.equal(first, again)


def test_an_answer_depends_on_its_own_test_image_alone():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    whole = LinearCached().predict(train, labels, test, 3, seed=0)
    apart = [LinearCached().predict(train, labels, part, 3, seed=0) for part in test.split(7)]
    assert torch.equal(torch.cat(apart), whole)


def test_scale_and_shift_of_features_do_not_matter_and_a_constant_one_does_no_harm():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    expected = LinearCached().predict(train, labels, test, 3, seed=0)
    scale, shift = torch.tensor([100.0, 0.5, 2.0, 8.0]), torch.tensor([3.0, 0.0, -40.0, 1.0])
    assert torch.equal(LinearCached().predict(train * scale + shift, labels, test * scale + shift, 3, 0), expected)
    padded = [torch.cat([part, torch.full((len(part), 1), 7.0)], dim=1) for part in (train, test)]
    assert torch.equal(LinearCached().predict(padded[0], labels, padded[1], 3, 0), expected)


@pytest.fixture
def fits(monkeypatch):
    """Replaces the fit: weights answer right on the training labels under ``good`` penalties only; keeps the calls."""
    calls = []

    def install(good):
        def fit(features, labels, num_classes, penalty, start, iterations):
            calls.append((penalty, features, labels))
            weight = np.zeros((num_classes, features.shape[1] + 1))
            weight[:, :num_classes] = np.eye(num_classes) * (1 if penalty in good else -1)
            return weight

        monkeypatch.setattr(module, "fit_logistic", fit)
        return calls

    return install


PENALTIES = [1e-3, 1e-1, 1e-2]


@pytest.mark.parametrize(
    ("good", "chosen"),
    [({1e-3}, 1e-3), ({1e-2}, 1e-2), ({1e-1}, 1e-1), ({1e-3, 1e-2}, 1e-2), (set(), 1e-1)],
)
def test_the_penalty_that_suits_held_out_training_images_best_is_used_the_strongest_of_equals(
    separable, fits, good, chosen
):
    train, labels, test, test_labels = separable
    calls = fits(good)
    found = LinearCached(penalties=PENALTIES).predict(train, labels, test, 3, seed=0)
    assert sorted(penalty for penalty, _, _ in calls[:-1]) == sorted(PENALTIES)
    assert calls[-1][0] == chosen
    assert torch.equal(found, test_labels) == bool(good)


@pytest.mark.parametrize(("share", "kept"), [(0.1, 54), (0.25, 45), (0.001, 59)])
def test_the_choice_is_made_without_the_held_out_images_and_the_answer_with_all(separable, fits, share, kept):
    train, labels, test, _ = separable
    calls = fits({1e-2})
    LinearCached(penalties=PENALTIES, held_out=share).predict(train, labels, test, 3, seed=0)
    assert [len(features) for _, features, _ in calls] == [kept] * 3 + [60]
    assert all(torch.equal(features, calls[0][1]) for _, features, _ in calls[:-1])


def test_another_seed_holds_out_other_images(separable, fits):
    train, labels, test, _ = separable
    calls = fits({1e-2})
    for seed in (0, 0, 1):
        LinearCached(penalties=[1e-2]).predict(train, labels, test, 3, seed)
    first, again, other = (features for _, features, _ in calls[::2])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("given", [{"penalties": []}, {"held_out": 1.0}, {"iterations": 0}, {"penalty": 1e-3}])
def test_an_unknown_or_impossible_setting_is_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        LinearCached(**given)
