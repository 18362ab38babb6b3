"""The online classifier is that of the checkpoint."""

import pytest
import torch

from cassle.core.errors import CheckpointError
from cassle.evaluation.probes.online import Online
from tests.unit.evaluation.made import evaluation

FEATURES = torch.tensor([[2.0, 0.0], [0.0, 2.0]])


def data(classifier, num_classes=2):
    return evaluation(FEATURES + 1, torch.tensor([0, 1]), FEATURES, num_classes, online=classifier)


def test_scores_are_its_logits():
    classifier = torch.nn.Linear(2, 2).requires_grad_(False)
    assert torch.equal(Online().scores(data(classifier)), classifier(FEATURES))


def test_a_network_that_was_never_trained_has_none():
    assert Online().needs_training
    with pytest.raises(CheckpointError, match="holds no online classifier"):
        Online().scores(data(None))


def test_one_of_other_classes_is_refused():
    with pytest.raises(CheckpointError, match="knows 3 classes, the dataset has 2"):
        Online().scores(data(torch.nn.Linear(2, 3)))
