"""Contrastive distillation: InfoNCE between the two models, in closed form."""

import math

import pytest
import torch
import torch.nn.functional as F

from cassle.distillations.contrastive import Contrastive, contrastive_distillation_loss

TEMPERATURES = pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
VIEWS, ROWS = 2, 3
ALL = VIEWS * ROWS


def drawn(dim=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(ROWS, dim, dtype=torch.float64, generator=draw) for _ in range(VIEWS)]


def axes():
    """Student's and teacher's views, all rows at right angles to each other."""
    return list(torch.eye(2 * ALL, dtype=torch.float64).split(ROWS))


def close(loss, expected):
    torch.testing.assert_close(loss, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@TEMPERATURES
def test_a_model_equal_to_its_teacher_scores_the_positive_alone(temperature):
    z = axes()[:VIEWS]
    close(contrastive_distillation_loss(z, z, temperature), math.log(1 + (ALL - 1) * math.exp(-1 / temperature)))


@TEMPERATURES
def test_a_model_unrelated_to_its_teacher_cannot_find_the_positive(temperature):
    rows = axes()
    close(contrastive_distillation_loss(rows[:VIEWS], rows[VIEWS:], temperature), math.log(ALL))


@TEMPERATURES
def test_the_other_view_of_an_image_is_no_positive_but_counts_in_the_denominator(temperature):
    one, other = axes()[:VIEWS]
    expected = math.log(math.exp(1 / temperature) + ALL - 1)  # the positive itself scores 0
    close(contrastive_distillation_loss([one, other], [other, one], temperature), expected)
    # Both views of the teacher alike: two columns score 1, one of them is the positive.
    both = math.log(2 + (ALL - 2) * math.exp(-1 / temperature))
    close(contrastive_distillation_loss([one, one], [one, one], temperature), both)


@TEMPERATURES
def test_any_views_give_the_mean_of_both_directions(temperature):
    p, frozen = drawn(), drawn(seed=1)
    student, teacher = (F.normalize(torch.cat(views), dim=1) for views in (p, frozen))
    total = 0.0
    for ours, theirs in ((student, teacher), (teacher, student)):
        for i in range(ALL):
            scores = [float(ours[i] @ theirs[k]) / temperature for k in range(ALL)]
            total += -scores[i] + math.log(math.fsum(map(math.exp, scores)))
    close(contrastive_distillation_loss(p, frozen, temperature), total / (2 * ALL))


def test_length_of_rows_does_not_matter():
    p, frozen = drawn(), drawn(seed=1)
    expected = contrastive_distillation_loss(p, frozen, 0.2)
    close(contrastive_distillation_loss([3 * view for view in p], [view / 7 for view in frozen], 0.2), expected)


def test_the_form_uses_its_temperature_which_is_the_papers_by_default():
    z, frozen = drawn(), drawn(seed=1)
    for settings, temperature in (({"temperature": 0.5}, 0.5), ({}, 0.2)):
        form = Contrastive(Contrastive.Settings(depth=0, **settings), 5, None)
        assert torch.equal(form.loss(z, frozen, None), contrastive_distillation_loss(z, frozen, temperature))
    assert Contrastive.default_weight == 1
