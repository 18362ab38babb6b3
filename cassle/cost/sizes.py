"""Number of images of a task: from the index if the dataset is prepared, else as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cassle.contracts.layout import index_file
from cassle.core.errors import SettingsError
from cassle.data.base import read_index
from cassle.data.splits import split
from cassle.data.streams import Stream

PUBLISHED: dict[str, dict[str, tuple[int, int]]] = {
    "cifar10": {"photo": (50_000, 10_000)},
    "cifar100": {"photo": (50_000, 10_000)},
    "imagenet100": {"photo": (126_689, 5_000)},
    "domainnet": {
        "real": (120_906, 52_041),
        "quickdraw": (120_750, 51_750),
        "painting": (50_416, 21_850),
        "sketch": (48_212, 20_916),
        "infograph": (36_023, 15_582),
        "clipart": (33_525, 14_604),
    },
    "digits": dict.fromkeys(("edges", "striped", "textured", "inverted", "plain", "rotated"), (1438, 359)),
}
"""Dataset -> domain -> images of the training and of the test half."""


def task_sizes(stream: Stream, root: Path = Path()) -> tuple[list[int], int]:
    """Return the training images of each task, and the test images of all of them.

    Without an index, classes count as equally large. Raises `SettingsError` for a dataset of unknown size.
    """
    file = root / index_file(stream.index)
    if file.is_file():
        made = split(stream, read_index(file))
        sizes = np.bincount(made.train_task[made.train_task >= 0], minlength=stream.tasks)
        return sizes.tolist(), int((made.test_task >= 0).sum())
    if stream.dataset not in PUBLISHED:
        index = index_file(stream.index)
        raise SettingsError(
            f"how many images {stream.dataset} has is known once it is prepared: `snakemake {index}` with the same "
            "--configfile or --config behind it does so"
        )
    domains = {name: PUBLISHED[stream.dataset][name] for name in stream.open({}).domains}
    train, test = (sum(sizes[half] for sizes in domains.values()) for half in (0, 1))
    if stream.scenario != "domain":
        equal, rest = divmod(train, stream.tasks)
        return [equal + rest, *[equal] * (stream.tasks - 1)], test
    names = list(domains)[: stream.tasks] if stream.domain_order == "paper" else stream.domain_order
    return [domains[name][0] for name in names], sum(domains[name][1] for name in names)
