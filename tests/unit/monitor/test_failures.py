"""Failures for good are remembered, others are worth a retry."""

import pytest

from cassle.contracts.records import FailureRecord, read_record
from cassle.core.errors import CassleError, DivergenceError, Interrupted
from cassle.monitor.failures import marker, read_failure, recorded

DIGEST = "0123456789abcdef"


def test_each_job_has_a_marker_of_its_own_beside_its_output(tmp_path):
    assert marker(tmp_path / "train.json") == tmp_path / "failed.json"
    assert marker(tmp_path / "knn~k=0.5+online.json") == tmp_path / "knn~k=0.5+online.failed"
    assert marker(tmp_path / "memory.pt") == tmp_path / "memory.failed"


def fail(folder, error, attempt=1, digest=DIGEST):
    with recorded(folder / "train.json", digest, attempt):
        raise error


def test_a_failure_for_good_ends_the_retry_at_once_with_its_reason(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    expected = FailureRecord(digest=DIGEST, message="the loss is NaN", final=True)
    assert read_failure(marker(tmp_path / "train.json")) == expected
    with pytest.raises(CassleError, match="not tried again, as it would fail again: the loss is NaN"):
        fail(tmp_path, AssertionError("tried again"), attempt=2)


@pytest.mark.parametrize("kind", [AttributeError, ModuleNotFoundError, KeyError, NotImplementedError, TypeError])
def test_a_mistake_in_the_code_is_not_tried_again(tmp_path, kind):
    with pytest.raises(kind):
        fail(tmp_path, kind("loss"))
    with pytest.raises(CassleError, match=f"not tried again, as it would fail again: {kind.__name__}: "):
        fail(tmp_path, kind("loss"), attempt=2)


@pytest.mark.parametrize("error", [OSError("gone"), CassleError("gone"), RuntimeError("gone\nstack")])
def test_a_transient_failure_is_told_and_tried_again(tmp_path, error):
    for attempt in (1, 2, 3):
        with pytest.raises(type(error), match="gone"):
            fail(tmp_path, error, attempt)
        failure = read_record(FailureRecord, marker(tmp_path / "train.json"))
        assert failure.message in ("gone", "OSError: gone", "RuntimeError: gone")
        assert not failure.final
    with recorded(tmp_path / "train.json", DIGEST, attempt=4):
        pass
    assert not marker(tmp_path / "train.json").exists()


def test_a_training_that_was_asked_to_stop_has_not_failed(tmp_path):
    with pytest.raises(Interrupted):
        fail(tmp_path, Interrupted("stopped at epoch 1", 143))
    assert not marker(tmp_path / "train.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"spec": {}}', b'{"version": 9}'])
def test_a_damaged_marker_holds_nothing_up(tmp_path, content):
    marker(tmp_path / "train.json").write_bytes(content)
    with recorded(tmp_path / "train.json", DIGEST, attempt=2):
        pass
    assert not marker(tmp_path / "train.json").exists()


def test_a_full_disk_does_not_hide_why_a_training_failed(disk):
    disk.fill(leaving=0)
    with pytest.raises(DivergenceError, match="the loss is NaN"):
        fail(disk.folder, DivergenceError("the loss is NaN"))


def test_a_new_run_of_the_workflow_tries_again(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    with recorded(tmp_path / "train.json", DIGEST, attempt=1):
        pass
    assert not marker(tmp_path / "train.json").exists()


def test_other_settings_are_tried_whatever_failed_before(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    with recorded(tmp_path / "train.json", "fedcba9876543210", attempt=2):
        pass
