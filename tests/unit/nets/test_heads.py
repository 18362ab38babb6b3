"""Heads: which layers they have, and what prototypes score."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cassle.nets.heads import Prototypes, mlp


def names(head):
    return [type(layer).__name__ for layer in head]


@pytest.mark.parametrize(
    ("sizes", "batchnorm", "expected"),
    [
        ([3, 2], True, "Linear"),
        ([3, 5, 2], False, "Linear ReLU Linear"),
        ([3, 5, 2], True, "Linear BatchNorm1d ReLU Linear"),
        ([3, 5, 6, 2], True, "Linear BatchNorm1d ReLU Linear BatchNorm1d ReLU Linear"),
    ],
)
def test_hidden_layers_are_followed_by_batchnorm_and_relu_and_the_last_by_nothing(sizes, batchnorm, expected):
    head = mlp(sizes, batchnorm=batchnorm)
    assert names(head) == expected.split()
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == sizes[:-1]
    assert [layer.out_features for layer in linear] == sizes[1:]
    assert head(torch.randn(4, 3)).shape == (4, 2)


@pytest.mark.parametrize("bias", [True, False])
def test_only_hidden_layers_may_lack_a_bias(bias):
    *hidden, last = [layer for layer in mlp([3, 5, 6, 2], bias=bias) if isinstance(layer, nn.Linear)]
    assert [layer.bias is not None for layer in hidden] == [bias, bias]
    assert last.bias is not None


def test_prototypes_are_unit_vectors_and_score_cosines():
    prototypes = Prototypes(6, 4).double()
    embeddings = F.normalize(torch.randn(5, 6, dtype=torch.float64), dim=1)
    expected = F.cosine_similarity(embeddings[:, None], prototypes.direction[None], dim=2)
    torch.testing.assert_close(prototypes.matrix().norm(dim=1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(prototypes(embeddings), expected)


def test_a_free_gain_starts_at_the_length_of_the_direction_and_scales_its_prototype():
    prototypes = Prototypes(6, 4, free_gain=True)
    torch.testing.assert_close(prototypes.matrix(), prototypes.direction)
    before = prototypes.matrix().detach().clone()
    with torch.no_grad():
        prototypes.gain[2] *= 3
    torch.testing.assert_close(prototypes.matrix(), before * torch.tensor([1.0, 1, 3, 1])[:, None])


@pytest.mark.parametrize(("free_gain", "trained"), [(False, {"direction"}), (True, {"direction", "gain"})])
def test_the_length_of_a_direction_has_no_gradient_of_its_own(free_gain, trained):
    prototypes = Prototypes(6, 4, free_gain=free_gain).double()
    prototypes(torch.randn(5, 6, dtype=torch.float64)).square().sum().backward()
    assert {name for name, _ in prototypes.named_parameters()} == trained
    # Scores do not depend on the length of a direction, so its gradient stands at a right angle to it.
    along = (prototypes.direction.grad * prototypes.direction).sum(dim=1)
    torch.testing.assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-12)
    assert prototypes.direction.grad.abs().max() > 0.01
