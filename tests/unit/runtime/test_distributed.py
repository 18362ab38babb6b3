"""Two processes that train together compute what one process computes with the global batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cassle.core.errors import SettingsError
from cassle.distillations.base import distillations
from cassle.objectives.base import objectives
from cassle.runtime.distributed import (
    RankShard,
    all_reduce_max,
    all_reduce_sum,
    broadcast_from_first,
    gather,
    primary,
    size,
)
from tests.pair import run_pair
from tests.unit.shared_cases import CASES, OBJECTIVES

TOLERANCE = {"batchnorm float32": 2e-4, "batchnorm bfloat16": 0.1}
"""Half precision has two digits; single precision seven, of which inputs around 100 leave five to their differences."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What each of two processes finds for every case; they meet in a folder that is no word of an address."""
    folder = tmp_path_factory.mktemp("pair") / "100 %, it's #1?"
    folder.mkdir()
    return run_pair("tests.unit.shared_cases", folder)


def test_every_form_of_distillation_is_among_the_cases():
    forms = {name for name in distillations.names() if distillations.get(name).__module__.startswith("cassle.")}
    assert {objectives.get(name).distillation for name in OBJECTIVES} >= forms


@pytest.mark.parametrize("name", CASES)
def test_two_processes_find_what_one_finds(pair, name):
    expected, tolerance = CASES[name](), TOLERANCE.get(name, 1e-8)
    for found in (processes[name] for processes in pair):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=tolerance, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
            )


@pytest.mark.parametrize("name", CASES)
def test_both_processes_find_the_very_same(pair, name):
    first, second = (processes[name] for processes in pair)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_process_alone_exchanges_nothing():
    rows, shard = torch.randn(4, 2), RankShard(3, 1)
    assert gather(rows) is rows
    assert all_reduce_sum(rows) is rows
    assert shard.take(rows) is rows
    assert shard.gather(rows) is rows
    assert shard.gather_many([rows])[0] is rows
    assert all_reduce_max(7) == 7
    assert (primary(), size()) == (True, 1)
    broadcast_from_first([rows])


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 4))
def test_shares_are_equal_and_make_up_the_batch(processes, own, replayed):
    shards = [RankShard(own * processes, replayed * processes, rank, processes) for rank in range(processes)]
    rows = torch.arange(shards[0].count)
    taken = [shard.take(rows).tolist() for shard in shards]
    assert sorted(row for part in taken for row in part) == rows.tolist()
    assert all(len(part) == own + replayed for part in taken)
    assert all(sum(row >= own * processes for row in part) == replayed for part in taken)
    assert taken == [[place for run in shard.runs for place in run] for shard in shards]


@pytest.mark.parametrize(("own", "replayed", "what"), [(9, 0, "a batch of 9"), (8, 3, "a replay of 3")])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(own, replayed, what):
    with pytest.raises(SettingsError, match=rf"{what} images cannot be shared evenly by 4 processes; .*\.gpus"):
        RankShard(own, replayed, 0, 4)
