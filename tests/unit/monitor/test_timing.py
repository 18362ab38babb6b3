"""When a job worked: every attempt leaves a line, and nothing that goes wrong with it harms the job."""

import json

import pytest

import cassle.monitor.timing as timing
from cassle.contracts.records import AttemptRecord, read_lines, write_lines
from cassle.core.errors import DataError, Interrupted
from cassle.monitor.timing import timed, times_file


def read_attempts(file):
    return read_lines(AttemptRecord, file)


@pytest.fixture
def clock(monkeypatch):
    moments = iter(range(100, 200, 10))
    monkeypatch.setattr(timing.time, "time", lambda: float(next(moments)))


def test_an_attempt_leaves_its_beginning_its_end_and_its_host(tmp_path, clock):
    with timed(tmp_path / "train.json", leased="cpu"):
        assert read_attempts(tmp_path / "train.times.jsonl")[0].ended is None
    (attempt,) = read_attempts(tmp_path / "train.times.jsonl")
    assert (attempt.began, attempt.ended, attempt.leased) == (100.0, 110.0, "cpu")
    assert attempt.host


def test_attempts_add_up_and_one_that_fails_has_its_end_too(tmp_path, clock):
    with pytest.raises(KeyError), timed(tmp_path / "knn.json"):
        raise KeyError("seed")
    with timed(tmp_path / "knn.json"):
        pass
    attempts = read_attempts(times_file(tmp_path / "knn.json"))
    assert [(attempt.began, attempt.ended) for attempt in attempts] == [(100.0, 110.0), (120.0, 130.0)]
    assert [attempt.error for attempt in attempts] == ["KeyError: 'seed'", None]


def test_an_attempt_that_was_told_to_stop_says_by_what(tmp_path):
    for stop in (Interrupted("stopped at epoch 3", 143), KeyboardInterrupt()):
        with pytest.raises(type(stop)), timed(tmp_path / "train.json"):
            raise stop
    errors = [attempt.error for attempt in read_attempts(tmp_path / "train.times.jsonl")]
    assert errors == ["stopped at epoch 3", "KeyboardInterrupt"]


def test_a_killed_attempt_keeps_its_beginning_only(tmp_path, clock):
    file = times_file(tmp_path / "train.json")
    write_lines(file, [AttemptRecord(began=5.0, host="a")])
    with timed(tmp_path / "train.json"):
        pass
    assert [attempt.ended for attempt in read_attempts(file)] == [None, 110.0]


@pytest.mark.parametrize(("heard", "ended"), [(70.0, 70.0), (3.0, None), ("soon", None)])
def test_the_next_attempt_notes_when_a_killed_one_was_last_heard(tmp_path, clock, heard, ended):
    file = times_file(tmp_path / "train.json")
    write_lines(file, [AttemptRecord(began=5.0, host="a")])
    beat = {"task": 0, "device": "cpu", "host": "a", "pid": 1, "updated": heard}
    (tmp_path / "progress.json").write_text(json.dumps(beat))
    with timed(tmp_path / "train.json"):
        pass
    assert read_attempts(file)[0].ended == ended


def test_a_place_that_cannot_be_written_to_harms_no_job(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with timed(tmp_path / "folder" / "train.json"):
        done = True
    assert done


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]\n3\n", b'{"ended": 3}\n', b'{"began": "x"}\n'])
def test_a_damaged_file_of_attempts_is_refused_by_name_and_replaced_by_the_next_attempt(tmp_path, content):
    file = tmp_path / "train.times.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.times\.jsonl.*; delete that file and run the workflow again"):
        read_attempts(file)
    with timed(tmp_path / "train.json"):
        pass
    assert len(read_attempts(file)) == 1
