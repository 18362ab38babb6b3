"""Metrics of continual learning: matrices worked by hand, and what must hold for every matrix."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cassle.evaluation.metrics import average_accuracy, forgetting, forward_transfer, top_k_accuracy

THREE_TASKS = [
    [0.80, 0.40, 0.20],
    [0.70, 0.90, 0.35],
    [0.60, 0.75, 0.95],
]


@st.composite
def matrices(draw, smallest=2):
    tasks = draw(st.integers(smallest, 6))
    return draw(arrays(np.float64, (tasks, tasks), elements=st.floats(0, 1)))


def test_three_tasks_worked_by_hand():
    assert average_accuracy(THREE_TASKS) == pytest.approx((0.60 + 0.75 + 0.95) / 3)
    assert forgetting(THREE_TASKS) == pytest.approx(((0.80 - 0.60) + (0.90 - 0.75)) / 2)
    assert forward_transfer(THREE_TASKS, [0.1, 0.3, 0.3]) == pytest.approx(((0.40 - 0.3) + (0.35 - 0.3)) / 2)


def test_forgetting_looks_at_every_earlier_model_even_one_that_had_not_seen_the_task():
    assert forgetting([[0.5, 0.9, 0.0], [0.5, 0.6, 0.0], [0.5, 0.7, 0.0]]) == pytest.approx(0.2 / 2)


def test_a_single_task_has_an_accuracy_but_neither_forgetting_nor_transfer():
    assert average_accuracy([[0.5]]) == 0.5
    assert math.isnan(forgetting([[0.5]]))
    assert math.isnan(forward_transfer([[0.5]], [0.1]))


def test_one_model_of_all_tasks_has_an_average_accuracy_only():
    assert average_accuracy([[0.2, 0.4]]) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="1 models for 2 tasks"):
        forgetting([[0.2, 0.4]])


@pytest.mark.parametrize("cell", [(2, 1), (0, 0)])
def test_a_cell_that_is_missing_makes_the_metrics_that_need_it_missing(cell):
    matrix = np.array(THREE_TASKS)
    matrix[cell] = np.nan
    assert math.isnan(forgetting(matrix))
    assert math.isnan(average_accuracy(matrix)) == (cell[0] == 2)
    assert not math.isnan(forward_transfer(matrix, [0.1, 0.1, 0.1]))


@pytest.mark.parametrize("bad", [[], [0.5], [[]]])
def test_what_is_not_a_matrix_is_refused(bad):
    with pytest.raises(ValueError, match="matrix"):
        average_accuracy(bad)


def test_the_random_network_needs_an_accuracy_per_task():
    with pytest.raises(ValueError, match="expected 3 accuracies"):
        forward_transfer(THREE_TASKS, [0.1, 0.2])


@given(matrices())
def test_forgetting_is_a_fraction_and_never_negative(matrix):
    assert 0 <= forgetting(matrix) <= 1


@given(matrices(smallest=1))
def test_average_accuracy_lies_between_the_last_models_worst_and_best_task(matrix):
    assert matrix[-1].min() - 1e-12 <= average_accuracy(matrix) <= matrix[-1].max() + 1e-12


@given(matrices())
def test_a_model_that_never_changes_forgets_nothing_and_transfers_what_the_random_one_lacks(matrix):
    row = matrix[0]
    constant = np.tile(row, (len(row), 1))
    assert forgetting(constant) == 0
    assert forward_transfer(constant, row) == 0
    assert forward_transfer(constant, np.zeros(len(row))) == pytest.approx(row[1:].mean())


@given(matrices(), st.floats(0, 1))
def test_raising_an_earlier_accuracy_never_lowers_forgetting(matrix, value):
    raised = matrix.copy()
    raised[0, 0] = max(value, matrix[0, 0])
    assert forgetting(raised) >= forgetting(matrix) - 1e-12


def test_equal_scores_rank_by_class():
    assert top_k_accuracy([[0.5, 0.5, 0.5]], [1], k=1) == 0
    assert top_k_accuracy([[0.5, 0.5, 0.5]], [1], k=2) == 1


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_top_k_grows_with_k_up_to_all_rows(rows, classes, seed):
    random = np.random.default_rng(seed)
    scores, labels = random.standard_normal((rows, classes)), random.integers(classes, size=rows)
    found = [top_k_accuracy(scores, labels, k) for k in range(1, classes + 2)]
    assert found == sorted(found)
    assert found[-1] == found[-2] == 1.0
    assert found[0] == np.mean(scores.argmax(1) == labels)


def test_no_rows_have_no_accuracy():
    assert math.isnan(top_k_accuracy(np.zeros((0, 3)), np.zeros(0, dtype=int)))
