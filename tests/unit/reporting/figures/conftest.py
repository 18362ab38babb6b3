"""Cells of small made-up studies, one per situation that every figure must be able to draw."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from cassle.reporting.rows.method_results import methods_of
from tests.unit.reporting.made import FINETUNE, PROBE, STREAM, all_rows, rows_of, summary

BACKBONES = ["conv3", "resnet18"]
SITUATIONS = {
    "one seed": (all_rows(), {}),
    "three seeds": (
        [row for seed, shift in enumerate((-0.02, 0.0, 0.02)) for row in all_rows(seed, shift)],
        {"seeds": [0, 1, 2]},
    ),
    "a strategy that did not run": ([row for row in all_rows() if row["strategy"] != "finetune"], {}),
    "a task that was not evaluated": (
        [row for row in all_rows() if (row["strategy"], row["task"], row["evaluated_task"]) != ("cassle", 1, 1)],
        {},
    ),
    "two backbones": ([row for name in BACKBONES for row in all_rows(backbone=name)], {"backbones": BACKBONES}),
    "two objectives, one of them not run": (all_rows(), {"objectives": ["byol", "simclr"]}),
    "no random network": (rows_of(FINETUNE, "finetune"), {"strategies": ["finetune"]}),
    "nothing that ran": ([], {}),
}


@pytest.fixture
def methods():
    """Function from a situation's name (or from rows and changes of the study) to its methods."""

    def make(situation=None, rows=(), stream=STREAM, probe=PROBE, **changes):
        if situation is not None:
            rows, changes = SITUATIONS[situation]
        frame = pd.DataFrame(list(rows), columns=list(all_rows()[0]))
        return methods_of(frame, summary(streams=[stream], probes=[probe], **changes), stream, probe)

    return make


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")
