"""What is counted within an epoch, without a trainer."""

import pytest
import torch

from cassle.contracts.records import EpochRecord, ProgressRecord, read_record
from cassle.core.errors import DivergenceError
from cassle.training.progress import Heartbeat, Metrics, Progress
from cassle.training.state import Position
from cassle.training.step import Losses


def counted(progress, *steps):
    """Progress after steps of these totals, with an objective of half of each and no penalty."""
    for total in map(torch.tensor, steps):
        progress.record(Losses(total, total / 2, None), torch.tensor(1.0))
        progress.position.step += 1
    return progress


def test_the_line_of_an_epoch_holds_means_and_the_next_epoch_counts_anew():
    metrics = Metrics(None)
    progress = counted(Progress(Position(epoch=1), 2, 3, 4), 2.0, 4.0)
    progress.end_epoch(metrics, 0.1)
    line = EpochRecord(epoch=1, loss=3.0, objective=1.5, penalty=0.0, online=1.0, lr=0.1)
    assert EpochRecord.model_validate_json(metrics.lines[0]) == line
    assert not progress.sums.any()
    assert (progress.position.epoch, progress.position.step) == (2, 0)
    assert (progress.moment.step, progress.moment.steps) == (4, 6)


def test_the_heartbeat_tells_the_mean_so_far_and_after_an_epoch_that_of_the_epoch(tmp_path):
    heartbeat = Heartbeat(tmp_path, 0, "cpu")
    progress = counted(Progress(Position(), 2, 2, 4), 2.0)
    progress.beat(heartbeat)
    beat = read_record(ProgressRecord, heartbeat.path)
    assert (beat.epoch, beat.epochs, beat.done, beat.loss) == (0, 2, 0.25, 2.0)
    counted(progress, 4.0).end_epoch(Metrics(None), 0.1)
    progress.beat(heartbeat)
    beat = read_record(ProgressRecord, heartbeat.path)
    assert (beat.epoch, beat.done, beat.loss) == (1, 0.5, 3.0)


def test_time_spent_before_counts_but_is_not_this_processes_speed(tmp_path):
    progress = Progress(Position(1, 0, 1000.0), 2, 2, 4)
    assert 1000 <= progress.seconds < 1100
    heartbeat = Heartbeat(tmp_path, 0, "cpu")
    progress.beat(heartbeat)
    assert read_record(ProgressRecord, heartbeat.path).images_per_second is None
    counted(progress, 2.0).beat(heartbeat)
    assert read_record(ProgressRecord, heartbeat.path).images_per_second > 4 / 100


def test_a_loss_that_is_not_finite_is_named_with_where_it_was():
    progress = counted(Progress(Position(epoch=3), 9, 9, 4), 1.0, float("nan"))
    with pytest.raises(DivergenceError, match="the loss, objective is NaN or infinite in epoch 3, up to step 2"):
        progress.check_finite()
