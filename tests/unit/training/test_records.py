"""What a training tells while it runs: metrics that survive an interruption, and a heartbeat that ends with it."""

import os
from types import SimpleNamespace

import pytest

from cassle.contracts.records import EpochRecord, ProgressRecord, read_lines, read_record
from cassle.training import progress as records
from cassle.training.progress import PRINT_EVERY, Heartbeat, Metrics

EPOCHS = [
    EpochRecord(epoch=epoch, loss=1 / (epoch + 3), objective=1.0, penalty=0.0, online=2.0, lr=0.1 * 0.3**epoch)
    for epoch in range(4)
]


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still until they are moved; the wall clock is 5000 seconds ahead."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now, time=lambda: 5000.0 + clock.now)
    monkeypatch.setattr(records, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    """Whether a person looks on: a function that says so to the heartbeat."""

    def look_on(value):
        monkeypatch.setattr(records, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: value)))

    look_on(False)
    return look_on


def read(path):
    return read_record(ProgressRecord, path)


def test_metrics_are_one_json_object_per_epoch_that_keeps_every_digit(tmp_path):
    metrics = Metrics(tmp_path)
    for values in EPOCHS:
        metrics.append(values)
    assert read_lines(EpochRecord, tmp_path / "metrics.jsonl") == EPOCHS


def test_metrics_of_a_process_that_writes_no_files_are_kept_in_mind_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metrics = Metrics(None)
    metrics.append(EPOCHS[0])
    assert [EpochRecord.model_validate_json(line) for line in metrics.lines] == EPOCHS[:1]
    assert list(tmp_path.iterdir()) == []


def test_each_epoch_is_in_the_file_as_soon_as_it_is_told(tmp_path):
    metrics = Metrics(tmp_path)
    assert metrics.path.read_text() == ""
    for count, values in enumerate(EPOCHS, start=1):
        metrics.append(values)
        assert metrics.path.read_text().count("\n") == count


@pytest.mark.parametrize("saved", range(len(EPOCHS) + 1))
@pytest.mark.parametrize("lost", [0, 1])
def test_interrupted_metrics_end_in_the_same_file(tmp_path, saved, lost):
    # Epochs that ended after the last save of the state are in the file, but are trained again.
    whole, broken = Metrics(tmp_path / "whole"), Metrics(tmp_path / "broken")
    for values in EPOCHS:
        whole.append(values)
    for values in EPOCHS[:saved]:
        broken.append(values)
    lines = list(broken.lines)
    for values in EPOCHS[saved : saved + lost]:
        broken.append(values)
    resumed = Metrics(tmp_path / "broken", lines)
    assert resumed.path.read_text().count("\n") == saved
    for values in EPOCHS[saved:]:
        resumed.append(values)
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    assert resumed.lines == whole.lines


def test_a_training_that_starts_again_forgets_the_lines_of_an_earlier_one(tmp_path):
    Metrics(tmp_path).append(EPOCHS[0])
    assert Metrics(tmp_path).path.read_text() == ""


def test_restored_lines_are_not_changed_by_what_follows(tmp_path):
    lines = ["{}"]
    Metrics(tmp_path, lines).append(EPOCHS[0])
    assert lines == ["{}"]


def test_a_heartbeat_tells_what_trains_where_and_how_it_stands(tmp_path, clock):
    heartbeat = Heartbeat(tmp_path, 2, "cpu")
    clock.now += 7
    heartbeat.beat(epoch=3, loss=0.5, seconds_left=None)
    host, pid = os.uname().nodename, os.getpid()
    expected = ProgressRecord(task=2, device="cpu", host=host, pid=pid, epoch=3, loss=0.5, updated=6007.0)
    assert read(tmp_path / "progress.json") == expected


def test_a_heartbeat_is_rewritten_and_not_extended(tmp_path, clock):
    heartbeat = Heartbeat(tmp_path, 2, "cpu")
    heartbeat.beat(epoch=3, loss=0.5)
    heartbeat.beat(epoch=4)
    found = read(heartbeat.path)
    assert found.epoch == 4
    assert found.loss is None
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_a_heartbeat_is_due_at_once_and_then_when_the_last_one_is_old(tmp_path, clock):
    heartbeat = Heartbeat(tmp_path, 2, "cpu", every=5.0)
    assert heartbeat.due()
    heartbeat.beat()
    due = []
    for seconds in (0, 4.5, 0.5):
        clock.now += seconds
        due.append(heartbeat.due())
    heartbeat.beat()
    assert [*due, heartbeat.due()] == [False, False, True, False]


def test_the_end_removes_the_heartbeat(tmp_path, clock):
    heartbeat = Heartbeat(tmp_path, 2, "cpu")
    heartbeat.beat()
    heartbeat.end()
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_never_beat_can_end(tmp_path):
    Heartbeat(tmp_path, 2, "cpu").end()
    assert list(tmp_path.iterdir()) == []


def test_a_log_gets_a_line_only_now_and_then(tmp_path, clock, terminal, capsys):
    heartbeat = Heartbeat(tmp_path, 1, "cpu")
    step = PRINT_EVERY / 4
    for beat in range(10):
        heartbeat.beat(epoch=beat, loss=0.5)
        clock.now += step
    # The heartbeat is made at the time of beat 0, so that beats 4 and 8 are one and two intervals later.
    assert capsys.readouterr().out == "epoch 4, loss 0.5\nepoch 8, loss 0.5\n"


def test_a_terminal_gets_no_lines_because_it_shows_a_bar(tmp_path, clock, terminal, capsys):
    terminal(True)
    heartbeat = Heartbeat(tmp_path, 2, "cpu")
    clock.now += 2 * PRINT_EVERY
    heartbeat.beat(epoch=1)
    assert capsys.readouterr().out == ""
    assert read(heartbeat.path).epoch == 1


def test_metrics_that_found_no_room_are_written_with_the_next_ones(disk, capsys):
    metrics = Metrics(disk.folder)
    metrics.append(EPOCHS[0])
    disk.fill(leaving=0)
    metrics.append(EPOCHS[1])
    assert "the metrics of this epoch are written later: cannot write" in capsys.readouterr().out
    disk.free()
    assert metrics.path.read_text().count("\n") == 1
    metrics.append(EPOCHS[2])
    assert [epoch.epoch for epoch in read_lines(EpochRecord, metrics.path)] == [0, 1, 2]


def test_a_heartbeat_that_finds_no_room_ends_no_training(disk):
    heartbeat = Heartbeat(disk.folder, 2, "cpu")
    heartbeat.beat(epoch=1)
    disk.fill(leaving=0)
    heartbeat.beat(epoch=2)
    assert read(heartbeat.path).epoch == 1
