"""Digits in six domains: the same images in the same half, each domain what its docstring says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cassle.core.errors import DataError
from cassle.data.base import content_fingerprint, datasets
from cassle.data.datasets import digits

TRAIN, TEST = 1438, 359


@pytest.fixture(scope="module")
def index():
    return datasets.get("digits")().index(None)


def domain(part, name):
    """The pixels (N, 3, 16, 16) of a domain, in the order of their half."""
    return torch.as_tensor(part.pixels[part.domains == digits.Digits.domains.index(name)])


def halves(index):
    return (index.train, index.test)


def test_facts_known_beforehand_are_those_of_the_index(index):
    facts = digits.Digits
    assert index.dataset == facts.name == "digits"
    assert index.num_classes == facts.num_classes == 10
    assert index.domains == facts.domains == tuple(digits.DOMAINS)
    assert set(facts.domains) == {"plain", "inverted", "rotated", "textured", "edges", "striped"}
    assert index.train.pixels.shape[-1] == facts.image_size == 16


@pytest.mark.parametrize(("half", "count"), [("train", TRAIN), ("test", TEST)])
def test_every_domain_holds_every_image_of_a_half(index, half, count):
    part = index.part(half)
    assert part.pixels.shape == (6 * count, 3, 16, 16)
    assert part.pixels.dtype == np.uint8
    assert part.labels.shape == part.domains.shape == (6 * count,)
    assert part.labels.dtype == part.domains.dtype == np.int64
    assert np.bincount(part.domains).tolist() == [count] * 6
    assert len({part.labels[part.domains == number].tobytes() for number in range(6)}) == 1


def test_the_halves_together_are_the_1797_digits_of_scikit_learn(index):
    source = load_digits()
    assert len(source.target) == TRAIN + TEST
    labels = np.concatenate([part.labels[part.domains == 0] for part in halves(index)])
    assert np.bincount(labels).tolist() == np.bincount(source.target).tolist()
    plain = torch.cat([domain(part, "plain")[:, 0] for part in halves(index)])
    pixels = torch.as_tensor(source.images, dtype=torch.float32)[:, None] / 16
    larger = torch.nn.functional.interpolate(pixels, size=16, mode="bicubic").clamp(0, 1)
    expected = (255 * larger[:, 0]).round().to(torch.uint8)
    assert sorted(map(bytes, plain.flatten(1).numpy())) == sorted(map(bytes, expected.flatten(1).numpy()))


def test_a_fifth_of_every_class_is_for_testing(index):
    train, test = (np.bincount(part.labels[part.domains == 0]) for part in halves(index))
    assert (np.abs(test - 0.2 * (train + test)) <= 0.5).all()


def test_an_image_is_in_the_same_half_in_all_domains(index):
    for part in halves(index):
        plain = domain(part, "plain").float() / 255
        for name, change in digits.DOMAINS.items():
            if name != "textured":  # its texture depends on the place among all images
                # Half a gray level of rounding in each pixel, four of which make an edge.
                changed = (255 * change(plain)).round()
                assert (changed - domain(part, name)).abs().max() <= 2, name
        assert (domain(part, "textured") >= domain(part, "plain")).all()


def test_channels_are_equal(index):
    for part in halves(index):
        assert (part.pixels == part.pixels[:, :1]).all()


def test_inverted_is_white_where_plain_is_black(index):
    for part in halves(index):
        assert torch.equal(domain(part, "inverted"), 255 - domain(part, "plain"))


def test_rotated_is_plain_by_a_quarter_turn(index):
    for part in halves(index):
        assert torch.equal(domain(part, "rotated"), domain(part, "plain").rot90(1, dims=(2, 3)))


def test_striped_inverts_every_other_pair_of_columns(index):
    flipped = torch.tensor([2, 3, 6, 7, 10, 11, 14, 15])
    kept = torch.tensor([0, 1, 4, 5, 8, 9, 12, 13])
    for part in halves(index):
        plain, striped = domain(part, "plain"), domain(part, "striped")
        assert torch.equal(striped[..., kept], plain[..., kept])
        assert torch.equal(striped[..., flipped], 255 - plain[..., flipped])


def test_every_texture_is_another_and_fixed_and_darker_than_the_digit():
    black = torch.zeros(5, 1, 16, 16)
    texture = digits.textured(black)
    assert torch.equal(digits.textured(black), texture)
    assert len({tuple(image.flatten().tolist()) for image in texture}) == 5
    assert 0 <= texture.min() <= texture.max() <= 0.8
    assert (texture[..., 1:] - texture[..., :-1]).abs().mean() < texture.std()  # smooth
    white = torch.ones(5, 1, 16, 16)
    assert torch.equal(digits.textured(white), white)


def test_edges_of_a_constant_image_are_zero():
    assert not digits.edges(torch.full((2, 1, 16, 16), 0.7)).any()


def test_edges_are_the_length_of_the_gradient():
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 0.5
    found = digits.edges(step)
    assert torch.equal(found[..., 7:9], torch.full((1, 1, 16, 2), 0.5))
    assert not found[..., :7].any()
    assert not found[..., 9:].any()
    ramp = torch.arange(16.0)
    plane = (0.03 * ramp[:, None] + 0.04 * ramp[None, :])[None, None]
    inner = digits.edges(plane)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.1))  # 2 * hypot(0.03, 0.04): differences over two pixels


def test_domains_can_be_told_apart(index):
    means = [domain(index.train, name).float().mean(dim=0) for name in index.domains]
    assert all((one - other).abs().mean() > 5 for place, one in enumerate(means) for other in means[:place])


def test_prepared_twice_it_is_the_same_dataset(index):
    torch.rand(5)
    np.random.default_rng(3).random()
    again = datasets.get("digits")().index(None)
    assert again.fingerprint == index.fingerprint == content_fingerprint(index.train, index.test)
    assert np.array_equal(again.train.pixels, index.train.pixels)
    assert np.array_equal(again.test.labels, index.test.labels)


@pytest.mark.parametrize("half", ["train", "test"])
def test_images_are_loaded_from_the_index_in_its_order(index, half):
    part = index.part(half)
    images = digits.Digits().load(index, None, half)
    some = torch.tensor([0, 5, len(part.labels) - 1])
    assert len(images) == len(part.labels)
    assert torch.equal(images.read(some), torch.as_tensor(part.pixels)[some])
    assert torch.equal(images.labels, torch.as_tensor(part.labels))
    assert torch.equal(images.domains, torch.as_tensor(part.domains))


def test_an_index_without_images_is_refused_with_what_to_do(index):
    bare = replace(index, train=replace(index.train, pixels=None))
    with pytest.raises(
        DataError, match="the index of digits holds no images; delete it and run `cassle prepare` again"
    ):
        digits.Digits().load(bare, None, "train")
