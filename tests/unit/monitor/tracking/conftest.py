import pytest

from cassle.contracts.records import EpochRecord, PlanRecord, write_lines, write_record
from tests.unit.specs import probe_record, provenance, train_record, train_specs

FOLDER = "results/digits-domain2/conv3/simclr/cassle/seed0/task1"
SPEC = train_specs(stream="digits-domain2", backbone="conv3", objective="simclr", strategy="cassle")[1]
PROBE = f"{FOLDER}/probes/digits-domain2/knn.json"


class Results:
    """A results folder in which one training runs."""

    def __init__(self, root):
        self.root, self.study = root, root / "results/studies/tiny"
        trackers = {"wandb": {"mode": "offline", "project": "p"}}
        plan = PlanRecord(host="here", train=[FOLDER], probes=[PROBE], trackers=trackers, others={})
        write_record(self.study / "plan.json", plan)

    def train(self, epochs):
        """Write the metrics of so many epochs."""
        losses = {"objective": 0.0, "penalty": 0.0, "online": 0.0, "lr": 0.1}
        lines = [EpochRecord(epoch=epoch, loss=1 / (1 + epoch), **losses) for epoch in range(epochs)]
        write_lines(self.root / FOLDER / "metrics.jsonl", lines)

    def finish(self, checkpoint="c0", accuracy=0.5):
        """Write the record and the evaluation of a checkpoint."""
        write_record(self.root / FOLDER / "train.json", train_record(provenance(SPEC), checkpoint=checkpoint))
        write_record(self.root / PROBE, probe_record({"knn": [accuracy, 0.75]}, checkpoint))
        (self.root / FOLDER / "checkpoint.pt").write_bytes(b"tensors")


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path)
