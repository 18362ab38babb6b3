"""Which of several evaluations of the same counts, and which contradictions nothing settles."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from cassle.core.errors import DataError
from cassle.evaluation.base import probes
from cassle.evaluation.code import code_of_probes
from cassle.reporting.rows.duplicates import SHOWN, EvaluatedFile, settled
from tests.unit.specs import changed, probe_record

TODAY = code_of_probes([probes.get("knn")()])


def found(*values, code="c0de"):
    rows = [{"probe": "knn", "accuracy": value, "task_aware": value} for value in values]
    return EvaluatedFile(probe_record({"knn": list(values)}, "aaaa", code=code), rows)


def reported(files):
    """The accuracies that count of files of one run."""
    return [row["accuracy"] for row in settled([{Path(name): one for name, one in files.items()}])]


def test_files_that_say_the_same_are_one(capsys):
    assert reported({"a.json": found(0.5, 0.25), "b.json": found(0.5, 0.25, code="other")}) == [0.5, 0.25]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("order", [(0.9, 0.1), (0.1, 0.9), (0.9, 0.895), (0.895, 0.9)])
def test_what_todays_code_made_counts_and_the_rest_is_named(capsys, order):
    files = {f"{value}.json": found(value, code=TODAY if value == 0.9 else "old") for value in order}
    assert reported(files) == [0.9]
    (other,) = {*order} - {0.9}
    assert capsys.readouterr().out == f"left out: {other}.json, made by other code than today's, which made 0.9.json\n"


def test_of_what_differs_by_rounding_the_first_counts_and_the_rest_is_named(capsys):
    assert reported({"a.json": found(0.5, 0.25), "b.json": found(0.515, 0.25)}) == [0.5, 0.25]
    assert capsys.readouterr().out == "left out: b.json, which differ by rounding from a.json\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (found(0.5, 0.25), found(0.9, 0.25)),
        (found(0.5, 0.25, code=TODAY), found(0.9, 0.25, code=TODAY)),
        (found(0.5, 0.25, code="old"), found(0.9, 0.25, code="older")),
    ],
    ids=["same code", "both of today", "neither of today"],
)
def test_a_contradiction_that_no_code_settles_is_refused_with_both_names(one, other):
    with pytest.raises(DataError, match=r"knn in a\.json and in b\.json: 0\.2000 apart\ndelete the older files"):
        reported({"a.json": one, "b.json": other})


@pytest.mark.parametrize(("other", "apart"), [(0.519, False), (0.521, True)])
def test_more_than_one_point_in_the_mean_over_tasks_is_no_rounding(other, apart):
    files = {"a.json": found(0.5, 0.25), "b.json": found(other, 0.25)}
    with pytest.raises(DataError, match="contradict") if apart else nullcontext():
        reported(files)


def test_what_one_task_gains_does_not_make_up_for_what_another_one_loses():
    with pytest.raises(DataError, match=r"a\.json and in b\.json: 0\.4000 apart"):
        reported({"a.json": found(0.3, 0.7), "b.json": found(0.7, 0.3)})


def test_evaluations_of_different_tasks_contradict_each_other():
    with pytest.raises(DataError, match=r"a\.json and in b\.json: 1\.0000 apart"):
        reported({"a.json": found(0.5), "b.json": found(0.5, 0.5)})


def test_a_probe_that_is_not_known_here_is_of_no_code_of_today():
    strange = found(0.9)
    probe = {**strange.evaluated.spec.probes[0].model_dump(mode="json"), "name": "of_a_plugin"}
    strange.evaluated = changed(strange.evaluated, spec={"probes": [probe]})
    assert reported({"a.json": strange, "b.json": found(0.1, code=TODAY)}) == [0.1]


def test_many_contradictions_are_counted():
    runs = [{Path(f"{n}a.json"): found(0.1), Path(f"{n}b.json"): found(0.9)} for n in range(SHOWN + 2)]
    with pytest.raises(DataError, match=rf"{SHOWN - 1}b\.json: 0\.8000 apart\n  and 2 more\ndelete"):
        settled(runs)
