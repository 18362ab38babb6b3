"""LUMP: own views and replayed ones in one image."""

from dataclasses import replace

import pytest
import torch

from cassle.core.errors import SettingsError
from cassle.core.random import generator
from cassle.objectives.simclr import SimCLR
from cassle.objectives.supervised import Supervised
from cassle.strategies.lump import LUMP, LUMPSettings


def lump(**given):
    made = LUMP(LUMPSettings(**given), None)
    made.load_memory({"positions": torch.arange(100, 103)})
    return made


@pytest.fixture
def joined(batch):
    """A batch of three own rows and three replayed ones."""
    return replace(batch, is_replay=torch.arange(6) >= 3, replayed=3)


def test_a_view_is_the_weighted_sum_of_own_and_replayed_view(joined):
    views = [torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0, 30.0]), torch.arange(6.0)]
    mixed, own = lump(mixing=0.25).mix_views(views, joined)
    assert mixed[0].tolist() == [0.25 * 1 + 0.75 * 10, 0.25 * 2 + 0.75 * 20, 0.25 * 3 + 0.75 * 30]
    assert mixed[1].tolist() == [0.75 * 3, 0.25 + 0.75 * 4, 0.5 + 0.75 * 5]
    assert own.index.tolist() == joined.index[:3].tolist()
    assert (own.replayed, own.is_replay.any().item()) == (0, False)


def test_without_replayed_rows_views_stay_as_they_are(batch):
    views = [torch.rand(6)]
    mixed, same = lump().mix_views(views, batch)
    assert mixed is views
    assert same is batch


def test_both_views_of_a_step_are_mixed_with_one_weight(joined):
    views = [torch.tensor([1.0] * 3 + [0.0] * 3), torch.tensor([0.0] * 3 + [1.0] * 3)]
    (one, two), _ = lump().mix_views(views, joined)
    torch.testing.assert_close(one + two, torch.ones(3))
    assert one.unique().numel() == 1


def test_weights_are_of_the_beta_distribution(joined):
    drawn = [lump(alpha=0.4).mixing_weight(replace(joined, generator=generator(step))) for step in range(4000)]
    weights = torch.tensor(drawn)
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)), here 0.1389; the mean's standard deviation is 0.006
    assert weights.mean().item() == pytest.approx(0.5, abs=0.03)
    assert weights.var().item() == pytest.approx(1 / (4 * 1.8), abs=0.01)
    # most of its mass is at the ends: P(l < 0.1 or l > 0.9) = 0.479
    assert ((weights < 0.1) | (weights > 0.9)).float().mean().item() == pytest.approx(0.479, abs=0.03)


def test_a_weight_is_decided_by_what_the_steps_generator_began_with(joined):
    used = generator(5)
    torch.rand(9, generator=used)
    weights = [lump().mixing_weight(replace(joined, generator=g)) for g in (generator(5), used, generator(6))]
    assert weights[0] == weights[1] != weights[2]


def test_every_own_row_gets_a_partner_each_image_as_often_as_any_other():
    rows = lump().replay(8, generator(0)).tolist()
    assert sorted(rows.count(position) for position in (100, 101, 102)) == [2, 3, 3]
    assert lump().replay(2, generator(0)).unique().numel() == 2


def test_an_empty_buffer_replays_nothing():
    assert LUMP(LUMPSettings(), None).replay(8, generator(0)) is None


def test_objectives_with_labels_are_refused():
    with pytest.raises(SettingsError, match="lump mixes images, and Supervised has no label for a mixed one"):
        LUMP.resolve({}, Supervised)
    assert LUMP.resolve({}, SimCLR)["alpha"] == 0.4
