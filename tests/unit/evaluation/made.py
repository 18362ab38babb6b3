"""Evaluations of features that a test makes up."""

from contextlib import contextmanager

import torch

from cassle.core.random import generator
from cassle.evaluation.base import Evaluation, Half


def half(features, labels=None, task=None):
    count = len(features)
    labels = torch.zeros(count).long() if labels is None else labels
    task = torch.zeros(count).long() if task is None else task
    return Half(features, labels, task, torch.arange(count))


def unasked(*_):
    raise AssertionError("this probe needs no crops")


class Forgetful:
    """A state that is never saved."""

    def load(self):
        return None

    def due(self):
        return False

    def save(self, value):
        pass


def evaluation(train, train_labels, test, num_classes, seed=0, train_task=None, test_task=None, **changes):
    given = {
        "train": half(train, train_labels, train_task),
        "test": half(test, None, test_task),
        "num_classes": num_classes,
        "tasks": 1 if test_task is None else int(test_task.max()) + 1,
        "seed": seed,
        "crops": unasked,
        "view_size": 8,
        "linear_lr": 0.3,
        "project": None,
        "online": None,
        "state": lambda key: Forgetful(),
    }
    return Evaluation(**{**given, **changes})


def crops_of(features, labels, noise=0.0):
    """Crops that are noisy features themselves, in a random order per epoch."""

    @contextmanager
    def crops(view, positions, batch_size, seed):
        def epoch_of(epoch):
            order = torch.randperm(len(positions), generator=generator(seed, "order", epoch))
            for step in range(len(positions) // batch_size):
                rows = positions[order[step * batch_size : (step + 1) * batch_size]]
                drawn = torch.randn(features[rows].shape, generator=generator(seed, epoch, step), dtype=features.dtype)
                yield features[rows] + noise * drawn, labels[rows]

        yield epoch_of

    return crops
