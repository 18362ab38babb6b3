"""Errors a user reads, and the hints in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.errors import (
    CassleError,
    CheckpointError,
    DataError,
    DivergenceError,
    SettingsError,
    nearest,
    unknown,
)

untimed = settings(deadline=None)
NAMES = ["byol", "simclr", "barlow_twins", "vicreg"]


@pytest.mark.parametrize("kind", [SettingsError, DataError, CheckpointError, DivergenceError])
def test_every_error_is_one_the_command_line_prints(kind):
    assert issubclass(kind, CassleError)
    assert str(kind("what, where, what to do")) == "what, where, what to do"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("bylo", "byol"), ("SimCLR".lower(), "simclr"), ("barlow", "barlow_twins"), ("vicregg", "vicreg")],
)
def test_a_misspelled_name_is_answered_with_the_nearest(name, meant):
    assert nearest(name, NAMES) == f"did you mean '{meant}'?"


def test_a_name_like_no_other_is_answered_with_all_in_order():
    assert nearest("xyz", NAMES) == "known: barlow_twins, byol, simclr, vicreg"
    assert nearest("xyz", []) == "known: none"


@untimed
@given(st.text(), st.lists(st.text(min_size=1), unique=True))
def test_a_hint_names_only_what_is_known_and_does_not_depend_on_order(name, known):
    hint = nearest(name, known)
    assert hint == nearest(name, iter(known[::-1]))
    assert hint == f"known: {', '.join(sorted(known)) or 'none'}" or hint in {f"did you mean '{k}'?" for k in known}


@untimed
@given(st.sampled_from(NAMES))
def test_a_known_name_is_nearest_to_itself(name):
    assert nearest(name, NAMES) == f"did you mean '{name}'?"


def test_an_unknown_name_is_a_settings_error_that_says_of_what_kind():
    error = unknown("objective", "bylo", NAMES)
    assert isinstance(error, SettingsError)
    assert str(error) == "there is no objective 'bylo': did you mean 'byol'?"
