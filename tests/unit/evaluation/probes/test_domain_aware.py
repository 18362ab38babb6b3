"""A classifier per domain, trained and tested on that domain alone."""

import pytest
import torch

from cassle.core.errors import DataError
from cassle.data.streams import Stream
from cassle.evaluation.probes.domain_aware import DomainAware
from tests.unit.evaluation.made import evaluation

NEAREST = {"classifier": {"name": "knn", "k": 1, "distance": "euclidean"}}
TRAIN = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
LABELS = torch.tensor([0, 1, 1, 0])  # the second domain says the opposite of the first
DOMAINS = torch.tensor([0, 0, 1, 1])


def scored(test, test_domain, train_domain=DOMAINS):
    data = evaluation(TRAIN, LABELS, test, 2, train_task=train_domain, test_task=test_domain)
    return DomainAware(**NEAREST).scores(data).argmax(dim=1).tolist()


def test_each_image_is_classified_by_its_own_domain_whatever_their_order():
    test = torch.tensor([[0.1], [0.1], [0.9], [0.9], [0.1]])
    assert scored(test, torch.tensor([0, 1, 0, 1, 0])) == [0, 1, 1, 0, 0]


def test_a_domain_without_training_images_is_refused():
    with pytest.raises(DataError, match="task 1 has no training images"):
        scored(torch.tensor([[0.1], [0.2]]), torch.tensor([0, 1]), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("stream", "fits"), [("digits-domain5", True), ("digits-class5", False), ("digits-data5", False)]
)
def test_only_domains_are_domains(stream, fits):
    assert (DomainAware().incompatibility(Stream.parse(stream)) is None) == fits
