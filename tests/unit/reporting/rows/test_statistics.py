"""Means and intervals over seeds, against values worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassle.reporting.rows.matrix import Result, accuracy
from cassle.reporting.rows.statistics import paired, spread


def method(**accuracies):
    return Result("conv3", "simclr", "any", (0, 1, 2), {int(seed[1:]): [[value]] for seed, value in accuracies.items()})


def test_a_difference_is_taken_seed_by_seed_with_students_interval():
    # Differences 0.1, 0.2, 0.3: mean 0.2, deviation 0.1; t(2, 0.975) = 4.302653.
    found = paired(method(s0=0.5, s1=0.7, s2=0.4), method(s0=0.4, s1=0.5, s2=0.1), accuracy)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half), abs=1e-6)
    assert found.n == 3


def test_only_seeds_that_both_have_count():
    found = paired(method(s0=0.5, s1=0.7), method(s1=0.4, s2=0.9), accuracy)
    assert (found.mean, found.n) == (pytest.approx(0.3), 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert paired(method(s0=0.5), method(s1=0.5), accuracy) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(-0.5, 0.5))
def test_a_common_shift_has_no_spread(values, shift):
    ours = method(**{f"s{seed}": value + shift for seed, value in enumerate(values)})
    found = paired(ours, method(**{f"s{seed}": value for seed, value in enumerate(values)}), accuracy)
    assert (found.low, found.high) == pytest.approx((shift, shift), abs=1e-9)


def test_a_spread_needs_two_values():
    assert spread([0.1, 0.3]) == pytest.approx(math.sqrt(0.02))
    assert math.isnan(spread([0.1]))
    assert math.isnan(spread([]))
