"""The linear probe on cached features: its optimum in closed form, and a penalty chosen without test labels."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import cassle.evaluation.probes.linear_cached as module
from cassle.core.errors import SettingsError
from cassle.evaluation.probes.linear_cached import LinearCached, cross_entropy_gradient, fit_logistic, scores_of
from tests.unit.evaluation.made import evaluation


def drawn(rows, seed=0, dim=4):
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(weight, features, labels, penalty):
    """Mean cross-entropy plus half the penalty times the squared weights, the bias (last column) left out."""
    return F.cross_entropy(scores_of(weight, features), labels) + penalty / 2 * weight[:, :-1].square().sum()


def predicted(train, labels, test, num_classes, seed=0, **settings):
    return LinearCached(**settings).scores(evaluation(train, labels, test, num_classes, seed)).argmax(dim=1)


@pytest.mark.parametrize("elements", [1, 70, 2**24])
def test_the_gradient_is_that_of_autograd_in_however_many_parts(monkeypatch, elements):
    monkeypatch.setattr(module, "ELEMENTS", elements)
    rows, labels = F.pad(drawn(20), (0, 1), value=1.0), torch.arange(20) % 3
    weight = torch.stack([drawn(3, seed=seed, dim=5) for seed in (1, 2)]).requires_grad_()
    loss = sum(F.cross_entropy(rows @ one.T, labels) for one in weight)
    (expected,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(cross_entropy_gradient(weight.detach(), rows, labels), expected, rtol=1e-10, atol=1e-14)


def test_each_fit_ends_where_its_gradient_vanishes():
    features, labels, penalties = drawn(50), torch.arange(50) % 3, [1e-2, 1.0]
    fitted = fit_logistic(features, labels, 3, penalties, iterations=1000, tolerance=1e-8).requires_grad_()
    for weight, penalty in zip(fitted, penalties, strict=True):
        (gradient,) = torch.autograd.grad(objective(weight, features, labels, penalty), weight)
        assert gradient.abs().max() < 1e-7


def test_fits_side_by_side_are_those_made_one_by_one():
    features, labels, penalties = drawn(50), torch.arange(50) % 3, [1e-2, 1e-3]
    together = fit_logistic(features, labels, 3, penalties, iterations=30, tolerance=0.0)
    alone = [fit_logistic(features, labels, 3, [penalty], iterations=30, tolerance=0.0) for penalty in penalties]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-10, atol=1e-12)


def test_no_iteration_raises_the_loss_far_and_many_lower_it():
    features, labels = drawn(50), torch.arange(50) % 3
    losses = [
        float(objective(fit_logistic(features, labels, 3, [1e-3], iterations=steps)[0], features, labels, 1e-3))
        for steps in (0, 1, 3, 10, 30)
    ]
    assert losses == sorted(losses, reverse=True)


def test_an_overwhelming_penalty_leaves_the_bias_which_gives_the_shares_of_the_classes():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    (weight,) = fit_logistic(drawn(10), labels, 3, [1e6], iterations=500)
    torch.testing.assert_close(weight[:, :-1], torch.zeros(3, 4, dtype=torch.float64), rtol=0, atol=1e-5)
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    torch.testing.assert_close(weight[:, -1].softmax(dim=0), shares, rtol=1e-3, atol=1e-3)


def test_a_start_at_the_optimum_stays_there():
    features, labels = drawn(50), torch.arange(50) % 3
    found = fit_logistic(features, labels, 3, [1e-2], iterations=1000, tolerance=1e-9)
    assert torch.equal(fit_logistic(features, labels, 3, [1e-2], found, tolerance=1e-8), found)


def test_scores_have_the_bias_in_the_last_column():
    weight = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.125]])
    assert scores_of(weight, features).tolist() == [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.25, 0.125, 0.5]]


def clustered(rows, seed, classes=6, dim=24, spread=0.45):
    """Correlated, skewed features of overlapping classes, as a rectified network gives them."""
    fixed = torch.Generator().manual_seed(7)
    centers = spread * torch.randn(classes, dim, generator=fixed)
    mix = torch.randn(dim, dim, generator=fixed) / dim**0.5
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (rows,), generator=draw)
    return ((centers[labels] + torch.randn(rows, dim, generator=draw)) @ mix).relu(), labels


@pytest.mark.parametrize("penalty", [1e-2, 1e-3, 1e-4])
def test_accuracy_is_within_a_fifth_of_a_point_of_scikit_learns_logistic_regression(penalty):
    from sklearn.linear_model import LogisticRegression

    (train, labels), (test, truth) = clustered(600, 0), clustered(4000, 1)
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    theirs = LogisticRegression(C=1 / (len(train) * penalty), tol=1e-6, max_iter=5000)
    theirs.fit(((train - mean) / std).numpy(), labels.numpy())
    expected = torch.as_tensor(theirs.predict(((test - mean) / std).numpy()))
    found = predicted(train, labels, test, 6, penalties=[penalty])
    accuracies = [100 * float((answers == truth).double().mean()) for answers in (found, expected)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.2)
    assert 50 < accuracies[0] < 90


@pytest.mark.parametrize("seed", [0, 1])
def test_separable_classes_are_told_apart_without_a_mistake(separable, seed):
    train, train_labels, test, test_labels = separable
    assert torch.equal(predicted(train, train_labels, test, 3, seed), test_labels)


def noisy(rows=90, seed=5):
    """Features of three classes that overlap, so that answers depend on the fit."""
    labels = torch.arange(rows) % 3
    return (drawn(rows, seed) + 0.8 * torch.eye(3, 4, dtype=torch.float64)[labels]).float(), labels


def test_the_same_seed_gives_the_same_answers():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    assert torch.equal(*(predicted(train, labels, test, 3, seed=3) for _ in range(2)))


def test_an_answer_depends_on_its_own_test_image_alone():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    whole = predicted(train, labels, test, 3)
    assert torch.equal(torch.cat([predicted(train, labels, part, 3) for part in test.split(23)]), whole)


def test_scale_and_shift_of_features_do_not_matter_and_a_constant_one_does_no_harm():
    train, labels = noisy()
    test = noisy(60, seed=6)[0]
    expected = predicted(train, labels, test, 3)
    scale, shift = torch.tensor([100.0, 0.5, 2.0, 8.0]), torch.tensor([3.0, 0.0, -40.0, 1.0])
    assert torch.equal(predicted(train * scale + shift, labels, test * scale + shift, 3), expected)
    padded = [torch.cat([part, torch.full((len(part), 1), 7.0)], dim=1) for part in (train, test)]
    assert torch.equal(predicted(padded[0], labels, padded[1], 3), expected)


@pytest.fixture
def fits(monkeypatch):
    """Replaces the fit: weights answer right on the training labels under ``good`` penalties only; keeps the calls."""
    calls = []

    def install(good):
        def fit(features, labels, num_classes, penalties, start=None, iterations=1):
            calls.append((penalties, features, labels))
            one = F.pad(torch.eye(num_classes), (0, features.shape[1] + 1 - num_classes))
            return torch.stack([one * (1 if penalty in good else -1) for penalty in penalties])

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
    found = predicted(train, labels, test, 3, penalties=PENALTIES)
    choice, final = calls
    assert sorted(choice[0]) == sorted(PENALTIES)
    assert final[0] == [chosen]
    assert torch.equal(found, test_labels) == bool(good)


def test_what_counts_is_how_images_are_classified_that_a_fit_has_not_seen(monkeypatch):
    labels = torch.arange(60) % 2
    train = drawn(60, seed=2, dim=50).float()
    train[:, 0] += 3 * labels  # one feature tells, and the others invite to learn by heart
    penalties = []
    fit = module.fit_logistic
    monkeypatch.setattr(module, "fit_logistic", lambda *what, **more: penalties.append(what[3]) or fit(*what, **more))
    predicted(train, labels, train, 2, penalties=[1e-6, 1.0], held_out=0.5)
    assert penalties[-1] == [1.0]


def test_labels_of_test_images_have_no_say_in_the_choice(separable, fits):
    train, labels, test, test_labels = separable
    calls = fits({1e-3})
    data = evaluation(train, labels, test, 3)
    answers = LinearCached(penalties=[1e-1, 1e-2]).scores(data).argmax(dim=1)
    assert (answers == test_labels).sum() == 0
    misleading = replace(data, test=replace(data.test, labels=answers))
    LinearCached(penalties=PENALTIES).scores(misleading)
    assert calls[-1][0] == [1e-3]


@pytest.mark.parametrize(("share", "kept"), [(0.1, 54), (0.25, 45), (0.001, 59)])
def test_the_choice_is_made_without_the_held_out_images_and_the_answer_with_all(separable, fits, share, kept):
    train, labels, test, _ = separable
    calls = fits({1e-2})
    predicted(train, labels, test, 3, penalties=PENALTIES, held_out=share)
    assert [len(features) for _, features, _ in calls] == [kept, 60]


def test_another_seed_holds_out_other_images(separable, fits):
    train, labels, test, _ = separable
    calls = fits({1e-2})
    for seed in (0, 0, 1):
        predicted(train, labels, test, 3, seed, penalties=[1e-2])
    first, again, other = (features for _, features, _ in calls[::2])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("given", [{"penalties": []}, {"held_out": 1.0}, {"iterations": 0}, {"penalty": 1e-3}])
def test_an_unknown_or_impossible_setting_is_refused(given):
    with pytest.raises(SettingsError, match=next(iter(given))):
        LinearCached(**given)
