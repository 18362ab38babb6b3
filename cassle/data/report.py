"""What `prepare` found, for people."""

from __future__ import annotations

import numpy as np

from cassle.data.index import HALVES, Index


def describe_index(index: Index) -> str:
    """Return Markdown: counts per half, domain and class, and the notes of whoever made the index."""
    counts = {which: np.bincount(index.part(which).labels, minlength=index.num_classes) for which in HALVES}
    lines = [
        f"# {index.data_set}",
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
        lines.append(f"| {name} | {train} | {test} |")
    lines += ["", "| label | class | training images | test images |", "|---|---|---|---|"]
    for label, name in enumerate(index.classes):
        lines.append(f"| {label} | {name} | {counts['train'][label]} | {counts['test'][label]} |")
    return "\n".join(lines) + "\n"
