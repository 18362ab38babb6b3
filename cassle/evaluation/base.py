"""The base class of probes, its input, and the registry of probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, cast

import torch
from torch import Tensor, nn

from cassle.core.errors import DataError
from cassle.core.options import Options, S, differences, parse
from cassle.core.registry import Registry
from cassle.data.streams import Stream

if TYPE_CHECKING:
    from cassle.data.view_settings import ViewSettings
    from cassle.training.state import StateFile


@dataclass(frozen=True)
class Half:
    """The training or the test images of a stream, on one device.

    ``features`` (N, F) of the frozen backbone without augmentation; ``labels`` (N,) int64; ``task`` (N,) int64;
    ``positions`` (N,) int64 within that half of the dataset.
    """

    features: Tensor
    labels: Tensor
    task: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Tensor) -> Half:
        """Return some of the images; ``chosen`` is a mask (N,) bool or places (n,) int64."""
        return Half(self.features[chosen], self.labels[chosen], self.task[chosen], self.positions[chosen])


class Crops(Protocol):
    """Features of augmented training images, made anew for every epoch."""

    def __call__(
        self, view: ViewSettings, positions: Tensor, batch_size: int, seed: int
    ) -> AbstractContextManager[Callable[[int], Iterator[tuple[Tensor, Tensor]]]]:
        """Open the images at positions (N,): a function of the epoch that yields features (B, F) and labels (B,).

        Images come in a random order, each at most once in an epoch; a last incomplete batch is left out. A batch is a
        function of (seed, epoch, step).
        """
        ...


@dataclass(frozen=True)
class Evaluation:
    """Everything a probe may look at: both halves of a stream under one frozen network.

    ``seed`` of the run: all that is random follows from it. ``project`` maps features (N, F) to projections (N, D) and
    ``online`` is the classifier trained beside the network; both are None for a backbone that came alone.
    ``linear_lr``: learning rate of linear evaluation that the network's objective asks for. ``state`` opens the file
    from which a long fit resumes after an interruption; its key names everything the fit depends on.
    """

    train: Half
    test: Half
    num_classes: int
    tasks: int
    seed: int
    crops: Crops
    view_size: int
    linear_lr: float
    project: Callable[[Tensor], Tensor] | None
    online: nn.Linear | None
    state: Callable[[Any], StateFile]

    def trained_on(self, chosen: Tensor) -> Evaluation:
        """Return the same with some of the training images only."""
        return replace(self, train=self.train.rows(chosen))

    def tested_on(self, chosen: Tensor) -> Evaluation:
        """Return the same with some of the test images only."""
        return replace(self, test=self.test.rows(chosen))


class Probe(Generic[S]):
    """Score the classes of test images from a frozen network; a probe may use labels of training images only.

    Subclasses set ``Settings`` and write `scores`, a call of the pure functions of the same file.
    """

    Settings: ClassVar[type[Options]] = Options
    title: ClassVar[str]
    """Name in tables and figures; by default the registered name. A subclass does not inherit it."""
    settings: S

    def __init__(self, **settings: Any) -> None:
        self.settings = cast(S, parse(self.Settings, settings, f"probe {type(self).__name__}"))

    def changes(self) -> dict[str, Any]:
        """Return the settings that are not the default ones, by dotted keys; they mark the probe's label."""
        usual = type(self)().settings.model_dump(mode="json")
        return differences(usual, self.settings.model_dump(mode="json"))

    def scores(self, data: Evaluation) -> Tensor:
        """Return scores (M, C) of the classes for ``data.test``'s M images; the largest is the predicted class."""
        raise NotImplementedError

    @property
    def needs_training(self) -> bool:
        """Whether the probe needs a trained checkpoint: a backbone alone, such as the random network, has no result."""
        return False

    @property
    def transfer_target(self) -> str | None:
        """Name of the stream whose images are classified; None for the evaluated stream."""
        return None

    def dependencies(self) -> list[type]:
        """Return the classes of other files that the result depends on."""
        return []

    def incompatibility(self, stream: Stream) -> str | None:
        """Return why the probe cannot evaluate a stream, or None if it can."""
        return None


probes: Registry[type[Probe]] = Registry("probe", "cassle.evaluation.probes")
"""Probe name -> class."""


def accuracy_by_task(predicted: Tensor, labels: Tensor, test_task: Tensor, tasks: int) -> list[float]:
    """Return per task the fraction of its test images whose label was predicted: one row A[t, :].

    ``predicted``, ``labels`` and ``test_task`` (M,) int64. Raises `DataError` for a task without test images.
    """
    hits = (predicted.cpu() == labels.cpu()).double()
    test_task = test_task.cpu()
    counts = torch.bincount(test_task, minlength=tasks)
    if empty := (counts[:tasks] == 0).nonzero().flatten().tolist():
        raise DataError(f"task {empty[0]} has no test images, so it has no accuracy; prepare the dataset again")
    correct = torch.bincount(test_task, weights=hits, minlength=tasks)
    return (correct / counts)[:tasks].tolist()


def predict_within_task(scores: Tensor, test_task: Tensor, classes: list[list[int]]) -> Tensor:
    """Return the best class (M,) among those of each image's own task, as if the task were known.

    ``scores`` (M, C); ``test_task`` (M,) int64; ``classes``: the class numbers of every task.

    >>> scores = torch.tensor([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5]])
    >>> predict_within_task(scores, torch.tensor([0, 1]), [[0, 1], [1, 2]]).tolist()
    [0, 2]
    """
    allowed = torch.zeros(len(classes), scores.shape[1], dtype=torch.bool)
    for task, members in enumerate(classes):
        allowed[task, members] = True
    return scores.masked_fill(~allowed.to(scores.device)[test_task], -torch.inf).argmax(dim=1)
