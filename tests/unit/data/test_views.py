"""Views of a batch: what is drawn, what it does to each image, and what it leaves alone."""

import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cassle.data import color as color
from cassle.data.crop import crop_resize
from cassle.data.jitter import jitter, strengths_of
from cassle.data.view_settings import ViewSettings
from cassle.data.views import Views, apply, clean_view, crop, draw, normalize, recolor
from cassle.runtime.distributed import RankShard
from cassle.tensors.batch import Batch

untimed = settings(deadline=None)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
OFF = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "jitter": 0.0, "gray": 0.0, "flip": 0.0}
ALL = {"jitter": 1.0, "gray": 0.3, "blur": 0.5, "solarize": 0.3, "flip": 0.5, "rotate": 15.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, side=12, seed=0):
    return torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=generator(seed))


def batch(pixels, seed=0):
    count = len(pixels)
    none = torch.zeros(count, dtype=torch.int64)
    return Batch(torch.arange(count), pixels, none, 0, none.bool(), generator(seed))


def views(*each):
    return Views([ViewSettings(**settings) for settings in each], MEAN, STD)


def row(drawn, place):
    """What was drawn for one image, as a batch of one."""
    names = {field.name for field in fields(drawn)} - {"boxes", "blocks"}
    values = {name: getattr(drawn, name)[..., place : place + 1] for name in names}
    return type(drawn)(**values, boxes=drawn.boxes[place : place + 1], blocks=1)


def test_the_same_generator_gives_the_same_views_bit_for_bit():
    draw_views = views({"size": 10, **ALL}, {"size": 8, **ALL})
    one, again, other = (draw_views(batch(images(), seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_views_do_not_depend_on_random_draws_made_elsewhere():
    draw_views = views({"size": 10, **ALL})
    one = draw_views(batch(images()))[0]
    torch.rand(7)
    assert torch.equal(draw_views(batch(images()))[0], one)


def test_the_views_of_an_image_differ():
    one, other = views({"size": 10, **ALL}, {"size": 10, **ALL})(batch(images()))
    assert all(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_copies_of_an_image_get_parameters_of_their_own():
    copies = images(1).expand(24, -1, -1, -1)
    view = views({"size": 10, **ALL})(batch(copies))[0]
    assert len({tuple(image.flatten().tolist()) for image in view}) == 24


def test_a_view_drawn_again_from_its_parameters_is_the_same():
    settings = ViewSettings(size=10, **ALL)
    pixels = images()
    drawn = draw(settings, 6, 12, 12, generator(3))
    view = Views([settings], MEAN, STD)(batch(pixels, 3))[0]
    assert torch.equal(normalize(apply(pixels, drawn, settings), MEAN, STD), view)


@pytest.mark.parametrize("strength", ["brightness", "contrast", "saturation", "hue"])
def test_an_image_of_a_batch_is_treated_as_if_it_were_alone(strength):
    strengths = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | {strength: 0.4}
    settings = ViewSettings(size=10, **ALL, **strengths)
    pixels = images()
    drawn = draw(settings, 6, 12, 12, generator())
    together = apply(pixels, drawn, settings)
    alone = torch.cat([apply(pixels[i : i + 1], row(drawn, i), settings) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_a_batch_of_one_has_views():
    view = views({"size": 10, **ALL})(batch(images(1)))[0]
    assert view.shape == (1, 3, 10, 10)
    assert view.isfinite().all()


SHARED = [
    RankShard(own, replayed, rank, size) for own, replayed, size in [(50, 0, 5), (36, 12, 4)] for rank in range(size)
]


@pytest.mark.parametrize("shard", SHARED, ids=lambda shard: f"{shard.rank}of{shard.size}")
def test_an_image_gets_the_same_view_whatever_the_number_of_processes(shard):
    pixels, draw_views = images(shard.count), views({"size": 10, **ALL}, {"size": 8, **ALL, "hue": 0.0})
    whole, part = batch(pixels, 3), batch(shard.take(pixels), 3)
    for everyone, own in zip(draw_views(whole), draw_views(replace(part, shard=shard)), strict=True):
        torch.testing.assert_close(own, shard.take(everyone), rtol=0, atol=1e-5)
    assert torch.equal(whole.generator.get_state(), part.generator.get_state())


def test_operations_that_are_switched_off_change_nothing():
    pixels = images()
    settings = ViewSettings(size=12, **OFF)
    view = apply(pixels, draw(settings, 6, 12, 12, generator()), settings)
    torch.testing.assert_close(view, pixels / 255, rtol=0, atol=1e-6)


def test_operations_that_are_not_drawn_change_nothing():
    """Chances so small that no image has them drawn, though every operation runs."""
    rare = dict.fromkeys(("jitter", "gray", "blur", "solarize", "flip"), 1e-9)
    settings = ViewSettings(size=12, **{**OFF, **rare}, rotate=1e-9)
    pixels = images()
    view = apply(pixels, draw(settings, 6, 12, 12, generator()), settings)
    torch.testing.assert_close(view, pixels / 255, rtol=0, atol=1e-5)


def test_strengths_of_zero_draw_neutral_parameters():
    settings = ViewSettings(size=8, jitter=1, brightness=0, contrast=0, saturation=0, hue=0, blur=0, rotate=0)
    drawn = draw(settings, 20, 8, 8, generator())
    assert torch.equal(drawn.jitter, torch.tensor(color.NEUTRAL).view(4, 1).expand(4, 20))
    assert not drawn.sigma.any()
    assert not drawn.degrees.any()


@untimed
@given(st.floats(0, 2), st.floats(0, 0.5), st.floats(0, 180), st.integers(0, 99))
def test_parameters_are_drawn_in_their_ranges(strength, hue, degrees, seed):
    settings = ViewSettings(
        size=8, jitter=1, brightness=strength, contrast=strength, saturation=strength, hue=hue, blur=1, rotate=degrees
    )
    drawn = draw(settings, 50, 8, 8, generator(seed))
    slack = 1e-5
    assert (drawn.jitter[:3] >= max(0, 1 - strength) - slack).all()
    assert (drawn.jitter[:3] <= 1 + strength + slack).all()
    assert (drawn.jitter[3].abs() <= hue + slack).all()
    assert (drawn.sigma >= 0.1 - slack).all()
    assert (drawn.sigma <= 2 + slack).all()
    assert (drawn.degrees.abs() <= degrees + 1e-4).all()


def test_operations_are_drawn_as_often_as_their_settings_say():
    chances = {"jitter": 0.8, "gray": 0.2, "blur": 0.5, "solarize": 0.1, "flip": 0.5}
    count = 5000
    drawn = draw(ViewSettings(size=8, **chances), count, 8, 8, generator())
    jittered = (drawn.jitter != torch.tensor(color.NEUTRAL).view(4, 1)).any(dim=0)
    shares = {"jitter": jittered, "gray": drawn.gray, "blur": drawn.sigma > 0}
    shares |= {"solarize": drawn.solarize, "flip": drawn.flip}
    for name, chance in chances.items():
        six_errors = 6 * math.sqrt(chance * (1 - chance) / count)
        assert shares[name].float().mean().item() == pytest.approx(chance, abs=six_errors)


def test_choices_are_drawn_independently_of_each_other():
    drawn = draw(
        ViewSettings(size=8, jitter=0.5, gray=0.5, blur=0.5, solarize=0.5, flip=0.5, rotate=90), 5000, 8, 8, generator()
    )
    jittered = (drawn.jitter != torch.tensor(color.NEUTRAL).view(4, 1)).any(dim=0)
    choices = [jittered, drawn.gray, drawn.sigma > 0, drawn.solarize, drawn.flip, drawn.degrees > 0]
    table = torch.corrcoef(torch.stack([choice.float() for choice in choices]))
    assert (table - torch.eye(6)).abs().max() < 6 / math.sqrt(5000)


def test_how_much_is_uniform_whatever_was_chosen_and_how_much_of_the_rest():
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
    drawn = draw(ViewSettings(size=8, jitter=0.5, blur=0.5, rotate=90, **strengths), 20_000, 8, 8, generator())
    both = (drawn.jitter[3] != 0) & (drawn.sigma > 0)
    low = torch.tensor([0.6, 0.6, 0.8, -0.1, 0.1, -90])
    high = torch.tensor([1.4, 1.4, 1.2, 0.1, 2.0, 90])
    share = (torch.stack([*drawn.jitter, drawn.sigma, drawn.degrees], dim=1)[both] - low) / (high - low)
    count = len(share)
    assert 4000 < count < 6000
    assert (share.mean(dim=0) - 1 / 2).abs().max() < 6 / math.sqrt(12 * count)
    assert (share.var(dim=0) - 1 / 12).abs().max() < 0.1 / 12
    assert (torch.corrcoef(share.T) - torch.eye(6)).abs().max() < 6 / math.sqrt(count)


@untimed
@given(
    st.integers(1, 20),
    st.floats(0, 2),
    st.fixed_dictionaries({name: st.sampled_from([0.0, 0.5, 1.0]) for name in ("jitter", "gray", "blur", "solarize")}),
    st.sampled_from([0.0, 30.0, 180.0]),
    st.integers(0, 99),
)
def test_a_view_has_its_size_and_stays_between_black_and_white(size, strength, chances, degrees, seed):
    settings = ViewSettings(
        size=size, brightness=strength, contrast=strength, saturation=strength, hue=0.5, rotate=degrees, **chances
    )
    view = apply(images(5, 9, seed), draw(settings, 5, 9, 9, generator(seed)), settings)
    assert view.shape == (5, 3, size, size)
    assert view.dtype == torch.float32
    assert view.min() >= -1e-5
    assert view.max() <= 1 + 1e-5


def test_views_have_the_sizes_of_their_settings_and_their_channels_last():
    made = views({"size": 10}, {"size": 10}, {"size": 6, **ALL})(batch(images()))
    assert [tuple(view.shape) for view in made] == [(6, 3, 10, 10), (6, 3, 10, 10), (6, 3, 6, 6)]
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in made)


def test_views_are_normalized_per_channel():
    gray = torch.full((2, 3, 8, 8), 51, dtype=torch.uint8)
    view = views({"size": 8, **OFF})(batch(gray))[0]
    expected = torch.tensor([(0.2 - mean) / std for mean, std in zip(MEAN, STD, strict=True)])
    torch.testing.assert_close(view, expected.view(1, 3, 1, 1).expand(2, 3, 8, 8), rtol=0, atol=1e-5)


def test_images_are_left_as_they_are():
    pixels = images()
    before = pixels.clone()
    draw_views = views({"size": 12, **ALL})
    draw_views(batch(pixels))
    draw_views.clean(pixels)
    assert torch.equal(pixels, before)


def test_a_clean_view_is_the_normalized_image():
    pixels = images()
    made = views({"size": 12, **ALL}, {"size": 6}).clean(pixels)
    assert torch.equal(made, normalize(pixels / 255, MEAN, STD))
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_a_clean_view_of_another_size_is_the_whole_image_resized():
    pixels = images()
    whole = torch.tensor([[0, 0, 12, 12]]).expand(6, 4)
    expected = normalize(crop_resize(pixels, whole, 8), MEAN, STD)
    assert torch.equal(clean_view(pixels, 8, MEAN, STD), expected)


@pytest.mark.parametrize(("side", "size", "count"), [(12, 10, 50), (80, 70, 5)])
def test_views_made_in_parts_are_those_of_the_whole_batch(monkeypatch, side, size, count):
    """A CPU makes views few at a time, with orders of jitter that run across the parts; a GPU makes all at once."""
    settings, pixels = ViewSettings(size=size, **ALL), images(count, side)
    drawn = draw(settings, count, side, side, generator())
    whole = recolor(
        jitter(crop(pixels, drawn, settings), drawn.jitter, drawn.turn, drawn.blocks, strengths_of(settings)),
        drawn,
        settings,
    )
    for cached in (1, 2 * 3 * size * size, 2**30):
        monkeypatch.setattr("cassle.data.views.CACHED", cached)
        torch.testing.assert_close(apply(pixels, drawn, settings), whole, rtol=0, atol=1e-5)


def test_large_images_are_cropped_to_whole_gray_levels_on_a_cpu():
    settings, pixels = ViewSettings(size=10, flip=0.5), images(4, 80)
    drawn = draw(settings, 4, 80, 80, generator())
    made = 255 * crop(pixels, drawn, settings)
    torch.testing.assert_close(made, made.round(), rtol=0, atol=1e-4)
    assert (made / 255 - crop_resize(pixels, drawn.boxes, 10, drawn.flip)).abs().mean() < 0.5 / 255


def test_parameters_of_some_images_are_taken_in_order():
    drawn = draw(ViewSettings(size=8, **ALL), 6, 12, 12, generator())
    rows = torch.tensor([4, 1])
    part = drawn.part(rows)
    assert torch.equal(part.boxes, drawn.boxes[[4, 1]])
    assert torch.equal(part.jitter, drawn.jitter[:, [4, 1]])
    assert torch.equal(part.turn, drawn.turn[[4, 1]])
    assert torch.equal(part.sigma, drawn.sigma[[4, 1]])
    assert torch.equal(drawn.to(torch.device("cpu")).degrees, drawn.degrees)
