"""Color jitter of a batch: every image gets every operation once, in an order of its own."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.data import color as color
from cassle.data.jitter import draw_turns, jitter
from cassle.data.view_settings import ViewSettings
from cassle.data.views import draw
from cassle.runtime.distributed import RankShard

untimed = settings(deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def dealt(count, seed=0):
    """The orders of so many images for `jitter`."""
    return draw_turns(count, generator(seed))


def recorded(*codes):
    """Operations that write their number behind what was written before, as decimal digits."""
    return tuple(lambda rows, factor, code=code: 10 * rows + code for code in codes)


@pytest.mark.parametrize("count", [1, 2, 5, 24, 48, 50])
@pytest.mark.parametrize("used", [(1, 2, 3, 4), (1, 3), (4,)])
def test_jitter_applies_every_operation_in_use_once_to_every_image(monkeypatch, count, used):
    monkeypatch.setattr(color, "JITTER", recorded(1, 2, 3, 4))
    strengths = [float(number in used) for number in (1, 2, 3, 4)]
    made = jitter(torch.zeros(count, 3, 1, 1), torch.ones(4, count), *dealt(count), strengths)
    assert made.shape == (count, 3, 1, 1)
    for image in made:
        assert len(image.unique()) == 1
        assert sorted(str(int(image[0].item()))) == sorted(map(str, used))


@pytest.mark.parametrize(("used", "orders"), [((1, 2, 3, 4), 24), ((1, 2, 4), 6), ((2, 3), 2), ((3,), 1)])
def test_jitter_deals_equal_shares_of_a_batch_to_all_orders(monkeypatch, used, orders):
    monkeypatch.setattr(color, "JITTER", recorded(1, 2, 3, 4))
    strengths = [float(number in used) for number in (1, 2, 3, 4)]
    made = jitter(torch.zeros(48, 3, 1, 1), torch.ones(4, 48), *dealt(48), strengths)
    shares = Counter(int(code) for code in made[:, 0, 0, 0])
    assert len(shares) == orders
    assert set(shares.values()) == {48 // orders}


def test_jitter_gives_every_image_its_own_factors(monkeypatch):
    added = tuple(lambda rows, factor: rows + factor.view(-1, 1, 1, 1) for _ in range(4))
    monkeypatch.setattr(color, "JITTER", added)
    factors = torch.tensor([[1.0], [100.0], [1e4], [1e6]]) * torch.arange(1, 8)
    made = jitter(torch.zeros(7, 3, 1, 1), factors, *dealt(7), (1, 1, 1, 1))
    assert torch.equal(made, factors.sum(dim=0).view(-1, 1, 1, 1).expand(7, 3, 1, 1))


def test_jitter_does_to_each_image_what_its_order_says_one_operation_after_the_other():
    pixels, factors = torch.rand(1, 3, 4, 4), torch.tensor([[1.2], [0.7], [1.3], [0.05]])
    made = jitter(pixels, factors, torch.zeros(1, dtype=torch.int64), 1, (1, 1, 0, 0))
    by_order = [
        color.contrast(color.brightness(pixels, factors[0]), factors[1]),
        color.brightness(color.contrast(pixels, factors[1]), factors[0]),
    ]
    assert not torch.allclose(*by_order)
    assert any(torch.allclose(made, expected, atol=1e-6) for expected in by_order)


def test_the_order_of_an_image_is_drawn_anew():
    turns = [dealt(30, seed)[0].tolist() for seed in range(300)]
    assert all(sorted(turn[:24]) == list(range(24)) for turn in turns)
    assert all(len(set(turn[24:])) == 6 for turn in turns)
    assert {turn[0] for turn in turns} == {turn[29] for turn in turns} == set(range(24))


@untimed
@given(st.integers(1, 130), st.integers(1, 6), st.integers(0, 5), st.data())
def test_no_order_of_jitter_needs_more_room_in_a_share_than_its_blocks_say(own, size, replayed, data):
    shard = RankShard(own * size, replayed * size, data.draw(st.integers(0, size - 1)), size)
    drawn = draw(ViewSettings(size=8), shard.count, 8, 8, generator()).take(shard)
    assert drawn.turn.bincount().max() <= drawn.blocks
