"""Features of three classes that a straight line can tell apart."""

import pytest
import torch


@pytest.fixture
def separable():
    """Train features (60, 5) and labels, test features (30, 5) and labels; clusters far apart."""
    draw = torch.Generator().manual_seed(0)
    centers = 8 * torch.eye(3, 5)
    parts = []
    for per_class in (20, 10):
        labels = torch.arange(3).repeat(per_class)
        parts += [centers[labels] + 0.5 * torch.randn(3 * per_class, 5, generator=draw), labels]
    return parts
