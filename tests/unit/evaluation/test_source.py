"""Images as probes ask for them."""

import torch

from cassle.data.base import InMemory
from cassle.data.datasets.digits import Digits
from cassle.data.loaders import TaskRows
from cassle.data.view_settings import ViewSettings
from cassle.data.views import clean_view
from cassle.evaluation.source import Source

IMAGES = torch.randint(256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SOURCE = Source(InMemory(IMAGES, torch.arange(20), torch.zeros(20)), Digits(), 16, torch.device("cpu"))
VIEW = ViewSettings(size=16, jitter=0.0, gray=0.0)


def epoch_of(number, seed=0):
    with SOURCE.crops(VIEW, torch.arange(4, 20), 5, seed) as epochs:
        return list(epochs(number))


def test_clean_images_come_in_the_order_asked_for():
    positions = torch.tensor([7, 0, 3])
    found = torch.cat(list(SOURCE.clean(positions, 2)))
    assert torch.equal(found, clean_view(IMAGES[positions], 16, Digits.mean, Digits.std))


def test_an_epoch_has_each_image_once_at_most_in_full_batches():
    batches = epoch_of(0)
    assert [crops.shape for crops, _ in batches] == [(5, 3, 16, 16)] * 3
    labels = torch.cat([labels for _, labels in batches]).tolist()
    assert len(set(labels)) == 15
    assert set(labels) <= set(range(4, 20))


def test_an_epoch_is_a_function_of_seed_and_number():
    first, again, later, other = epoch_of(1), epoch_of(1), epoch_of(2), epoch_of(1, seed=1)
    assert all(torch.equal(x, y) for one, two in zip(first, again, strict=True) for x, y in zip(one, two, strict=True))
    assert not torch.equal(first[0][0], later[0][0])
    assert not torch.equal(first[0][0], other[0][0])


def test_images_come_in_another_order_than_in_the_training_of_the_same_seed():
    labels = torch.cat([labels for _, labels in epoch_of(0)])
    trained = TaskRows(torch.arange(4, 20), torch.arange(0), 5, 0, 0).order(0)[:15]
    assert labels.tolist() != trained.tolist()


def test_crops_of_the_whole_image_without_a_flip_are_the_clean_images():
    whole = ViewSettings(size=16, scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=0.0, gray=0.0, flip=0.0)
    with SOURCE.crops(whole, torch.arange(20), 20, 0) as epochs:
        ((crops, labels),) = epochs(0)
    torch.testing.assert_close(crops, clean_view(IMAGES[labels], 16, Digits.mean, Digits.std))
