"""Random draws as functions of what they are for."""

import hashlib

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.core.random import generator, seed_of

untimed = settings(deadline=None)
keys = st.lists(st.integers(-5, 10**9) | st.text("abc01", max_size=4), max_size=4).map(tuple)


@untimed
@given(keys)
def test_a_seed_is_a_63_bit_number_that_torch_takes(key):
    assert 0 <= seed_of(*key) < 2**63
    torch.Generator().manual_seed(seed_of(*key))


@untimed
@given(keys, keys)
def test_different_keys_have_different_seeds(one, other):
    assert (seed_of(*one) == seed_of(*other)) == (one == other)


def test_numbers_and_their_texts_and_groupings_are_different_keys():
    several = [(1, 2), (2, 1), (12,), ("1", 2), ("12",), (1, 2, 0), (1, 2, ""), ("1/2",)]
    assert len({seed_of(*key) for key in several}) == len(several)


def test_a_seed_is_a_hash_of_the_key_and_so_the_same_in_every_process():
    digest = hashlib.sha256(b"int:3/str:views/int:0").hexdigest()
    assert seed_of(3, "views", 0) == int(digest[:16], 16) // 2


@untimed
@given(keys)
def test_a_key_gives_the_same_draws_whatever_ran_in_between(key):
    first = torch.rand(4, generator=generator(*key))
    torch.manual_seed(1)
    torch.rand(9, generator=generator(*key, "other"))
    assert torch.equal(torch.rand(4, generator=generator(*key)), first)


def test_a_generator_is_fresh_and_leaves_the_global_one_alone():
    before = torch.random.get_rng_state()
    one, other = generator(0), generator(0)
    torch.rand(3, generator=one)
    assert torch.equal(torch.rand(3, generator=other), torch.rand(3, generator=generator(0)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_draws_of_neighboring_keys_are_not_alike():
    draws = torch.stack([torch.rand(1000, generator=generator(0, "views", task)) for task in range(20)])
    apart = torch.corrcoef(draws) - torch.eye(20)
    assert apart.abs().max() < 6 / 1000**0.5  # six standard errors of a correlation of independent draws
