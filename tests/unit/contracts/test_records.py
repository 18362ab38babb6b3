"""Records of jobs: what is complete is read, and what is not is refused with its name and what is wrong."""

import pytest

from cassle.contracts.records import Evaluated, Trained, read_record
from cassle.core.errors import CassleError, DataError
from cassle.core.files import write_json
from tests.unit.reporting.made import evaluation, training_spec

GOOD = evaluation({"knn": [0.5, 0.25]}, "aaaa")


def read(tmp_path, value, kind=Evaluated):
    write_json(tmp_path / "knn.json", value)
    return read_record(kind, tmp_path / "knn.json")


def test_a_complete_record_is_read_whatever_else_it_holds(tmp_path):
    found = read(tmp_path, {**GOOD, "more": 1})
    assert found.accuracies == {"knn": [0.5, 0.25]}
    assert found.execution.device == "cpu"
    assert found.tasks_of("knn") == ["part 0", "part 1"]


@pytest.mark.parametrize("key", sorted({*GOOD} - {"seconds"}))
def test_what_is_missing_is_named_with_the_file_and_what_to_do(tmp_path, key):
    held = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(DataError, match=rf"knn\.json: '{key}' is missing; delete that file and run the workflow again"):
        read(tmp_path, held)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracies": {"knn": [0.5, 0.25, 0.1]}}, "accuracies of knn has 3 values for 2 tasks"),
        ({"accuracies": {"knn": [0.5]}}, "accuracies of knn has 1 values for 2 tasks"),
        ({"task_aware": {"knn": [0.5]}}, "task_aware of knn has 1 values for 2 tasks"),
        ({"task_aware": {}}, "task_aware of knn has 0 values for 2 tasks"),
        ({"own_tasks": {"knn": ["a"]}}, "accuracies of knn has 2 values for 1 tasks"),
        ({"accuracies": {"knn": [0.5, 50.0]}}, r"'accuracies\.knn\.1' = 50\.0"),
        ({"accuracies": {"knn": [0.5, None]}}, r"'accuracies\.knn\.1' = None"),
        ({"accuracies": [0.5, 0.25]}, "'accuracies' ="),
        ({"execution": {"device": "cpu", "precision": {}, "threads": 1}}, "execution says no precision of knn"),
        ({"execution": {"device": "cpu", "threads": 1}}, r"'execution\.precision' is missing"),
        ({"checkpoint": 7}, "'checkpoint' = 7"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, changes, said):
    with pytest.raises(DataError, match=rf"knn\.json: {said}.*; delete that file"):
        read(tmp_path, {**GOOD, **changes})


@pytest.mark.parametrize("value", [[], 3, None, "text"])
def test_what_is_no_record_at_all_is_refused(tmp_path, value):
    with pytest.raises(CassleError, match=r"knn\.json: it holds no keys and values; delete that file"):
        read(tmp_path, value)


@pytest.mark.parametrize("key", ["spec", "checkpoint", "parent"])
def test_a_training_needs_what_tells_its_place(tmp_path, key):
    held = {"spec": training_spec(), "checkpoint": "aaaa", "parent": None}
    assert read(tmp_path, held, Trained).processes == 1
    with pytest.raises(DataError, match=f"'{key}' is missing"):
        read(tmp_path, {name: value for name, value in held.items() if name != key}, Trained)
