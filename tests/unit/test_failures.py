"""Failures for good are remembered, others are worth a retry."""

import json

import pytest

from cassle.errors import CassleError, DivergenceError
from cassle.failures import marker, remembered

SPEC = {"task": 1, "seed": 0}


def fail(folder, error, attempt=1, spec=SPEC):
    with remembered(folder, spec, attempt):
        raise error


def test_a_failure_for_good_ends_the_retry_at_once_with_its_reason(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    assert json.loads(marker(tmp_path).read_text()) == {"spec": SPEC, "message": "the loss is NaN"}
    with pytest.raises(CassleError, match="not tried again, as it would fail again: the loss is NaN"):
        fail(tmp_path, AssertionError("tried again"), attempt=2)


def test_a_transient_failure_is_tried_again(tmp_path):
    for attempt in (1, 2):
        with pytest.raises(OSError, match="gone"):
            fail(tmp_path, OSError("gone"), attempt)
    assert not marker(tmp_path).exists()


def test_a_new_run_of_the_workflow_tries_again(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    with remembered(tmp_path, SPEC, attempt=1):
        pass
    assert not marker(tmp_path).exists()


def test_other_settings_are_tried_whatever_failed_before(tmp_path):
    with pytest.raises(DivergenceError):
        fail(tmp_path, DivergenceError("the loss is NaN"))
    with remembered(tmp_path, {**SPEC, "seed": 1}, attempt=2):
        pass
