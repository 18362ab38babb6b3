"""What `prepare` found, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cassle.data.decode import shown
from cassle.data.index import HALVES, Index, Part

SHOWN = 50
"""Lines of a long list that a message shows."""


def describe_index(index: Index) -> str:
    """Return Markdown: counts per half, domain and class, and the notes of `prepare`."""
    counts = {which: np.bincount(index.part(which).labels, minlength=index.num_classes) for which in HALVES}
    lines = [
        f"# {index.dataset}",
        "",
        f"{index.num_classes} classes, {len(index.train.labels)} training and {len(index.test.labels)} test images, "
        + (f"all {index.size[0]}x{index.size[1]} pixels" if index.size else "of several sizes")
        + f"; fingerprint `{index.fingerprint}`.",
        "",
        *([index.notes, ""] if index.notes else []),
        "| domain | training images | test images |",
        "|---|---|---|",
    ]
    for number, name in enumerate(index.domains):
        train, test = (int((index.part(which).domains == number).sum()) for which in HALVES)
        lines.append(f"| {shown(name)} | {train} | {test} |")
    lines += ["", "| label | class | training images | test images |", "|---|---|---|---|"]
    for label, name in enumerate(index.classes):
        lines.append(f"| {label} | {shown(name)} | {counts['train'][label]} | {counts['test'][label]} |")
    return "\n".join(lines) + "\n"


def without_test_images(classes: Sequence[str], test: Part) -> list[str]:
    """Return a note that names the classes without test images, if there are any."""
    lacking = sorted(set(range(len(classes))) - set(np.unique(test.labels).tolist()))
    names = ", ".join(shown(classes[label]) for label in lacking)
    return [f"**{len(lacking)} classes have no test image**: {names}"] if lacking else []


def in_both(train: Part, test: Part) -> list[str]:
    """Return a note that names test images whose content is a training image's too, if there are any."""
    assert train.digests is not None
    assert test.digests is not None
    first = {digest: sample for sample, digest in enumerate(train.digests.tolist())}
    pairs = [(sample, first[digest]) for sample, digest in enumerate(test.digests.tolist()) if digest in first]
    lines = [f"{_named(test, sample)} = {_named(train, other)}" for sample, other in pairs]
    return [f"**{len(lines)} test images are training images too**:\n\n{as_lines(lines)}\n"] if lines else []


def _named(part: Part, sample: int) -> str:
    return shown(part.paths[sample]) if part.paths else f"image {sample}"


def as_lines(lines: Sequence[str], most: int = SHOWN) -> str:
    """Return an indented list of at most ``most`` lines, and how many more there are."""
    more = [f"  and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*(f"  - {line}" for line in lines[:most]), *more])
