from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cassle.monitor.tracking.follow import follow
from cassle.monitor.tracking.tensorboard import TensorBoardTracker
from tests.unit.monitor.tracking.conftest import FOLDER


def curves(folder):
    events = EventAccumulator(str(folder / FOLDER.removeprefix("results/")))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_and_accuracies_are_written_and_no_step_twice(results, tmp_path):
    folder = tmp_path / "tensorboard"
    tracker = TensorBoardTracker(folder)
    for epochs in (1, 4, 2, 4):  # the third look meets a training that went back to an earlier epoch
        results.train(epochs)
        follow(results.study, tracker)
    follow(results.study, TensorBoardTracker(folder))
    results.finish()
    follow(results.study, TensorBoardTracker(folder))
    found = curves(folder)
    assert [step for step, _ in found["train/loss"]] == [0, 1, 2, 3]
    assert [round(value, 3) for _, value in found["train/loss"]] == [1, 0.5, 0.333, 0.25]
    assert found["accuracy/digits-domain2/knn/mean"] == [(4, 0.625)]
