import json

import pytest

from cassle.core.files import write_json
from cassle.monitor.status import write_plan

FOLDER = "results/digits-domain2/conv3/simclr/cassle/seed0/task1"
PROBE = f"{FOLDER}/probes/digits-domain2/knn.json"


class Results:
    """A results folder in which one training goes on."""

    def __init__(self, root):
        self.root, self.study = root, root / "results/studies/tiny"
        write_plan(self.study, [FOLDER], [PROBE], {"wandb": {"mode": "offline", "project": "p"}})

    def train(self, epochs):
        """Write the metrics of so many epochs."""
        lines = [json.dumps({"epoch": epoch, "loss": 1 / (1 + epoch)}) for epoch in range(epochs)]
        file = self.root / FOLDER / "metrics.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines))

    def finish(self, checkpoint="c0", accuracy=0.5):
        """Write the record and the evaluation of a checkpoint."""
        write_json(self.root / FOLDER / "train.json", {"checkpoint": checkpoint, "spec": {"seed": 0}, "device": "cpu"})
        write_json(self.root / PROBE, {"stream": "digits-domain2", "accuracies": {"knn": [accuracy, 0.75]}})
        (self.root / FOLDER / "checkpoint.pt").write_bytes(b"tensors")


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path)
