"""From rows to matrices and numbers, worked out by hand; what is missing stays missing."""

import math

import numpy as np
import pandas as pd
import pytest

from cassle.reporting.rows.matrix import METRICS, matrix_of
from cassle.reporting.rows.method_results import methods_of
from cassle.reporting.rows.statistics import spread
from tests.unit.reporting.made import CASSLE, FINETUNE, OFFLINE, PROBE, RANDOM_ROW, STREAM, all_rows, rows_of, summary


def methods(rows, **changes):
    return methods_of(pd.DataFrame(rows), summary(**changes), STREAM, PROBE)


def method(rows, strategy, **changes):
    (found,) = [method for method in methods(rows, **changes) if method.strategy == strategy]
    return found


def numbers(method):
    return {name: method.values(metric) for name, metric in METRICS.items()}


def test_a_matrix_has_a_row_per_model_and_a_column_per_task_in_whatever_order_the_rows_come():
    rows = pd.DataFrame(rows_of(FINETUNE, "finetune"))
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        np.testing.assert_array_equal(matrix_of(rows.iloc[order], 2, 2), FINETUNE)


def test_a_row_that_is_missing_leaves_a_nan_in_its_place():
    rows = pd.DataFrame(rows_of(FINETUNE, "finetune"))
    np.testing.assert_array_equal(matrix_of(rows.drop(index=2), 2, 2), [[0.8, 0.3], [np.nan, 0.9]])
    assert np.isnan(matrix_of(rows[:0], 2, 3)).all()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("random", {"A": [0.15], "F": [], "T": []}),
        ("finetune", {"A": [0.7], "F": [0.3], "T": [0.1]}),
        ("cassle", {"A": [0.78], "F": [0.1], "T": [0.1]}),
        ("offline", {"A": [0.93], "F": [], "T": []}),
    ],
)
def test_metrics_of_a_small_study_worked_out_by_hand(strategy, expected):
    found = numbers(method(all_rows(), strategy))
    assert found == {name: pytest.approx(values) for name, values in expected.items()}


@pytest.mark.parametrize(
    ("missing", "without"),
    [((1, 0), {"A", "F"}), ((1, 1), {"A"}), ((0, 0), {"F"}), ((0, 1), {"T"})],
)
def test_a_missing_row_takes_away_the_metrics_that_need_it_and_no_other(missing, without):
    rows = [row for row in all_rows() if (row["strategy"], row["task"], row["evaluated_task"]) != ("cassle", *missing)]
    found = method(rows, "cassle")
    assert {name for name, values in numbers(found).items() if not values} == without
    assert all(math.isnan(METRICS[name](found, 0)) for name in without)


def test_without_the_random_network_there_is_no_forward_transfer():
    rows = [row for row in all_rows() if row["strategy"] != "random"]
    assert numbers(method(rows, "cassle")) == {"A": [pytest.approx(0.78)], "F": [pytest.approx(0.1)], "T": []}
    assert [found.strategy for found in methods(rows)] == ["finetune", "cassle", "offline"]


def test_under_the_online_probe_which_no_random_network_has_forward_transfer_means_nothing():
    rows = pd.DataFrame(rows_of(CASSLE, "cassle", probe="online"))
    (found,) = methods_of(rows, summary(strategies=["cassle"], probes=["online"]), STREAM, "online")
    assert [found.has(name) for name in "AFT"] == [True, True, False]
    (found,) = methods(rows_of(CASSLE, "cassle"), strategies=["cassle"])
    assert found.has("T")  # it is missing


def test_each_seed_is_compared_with_its_own_random_network():
    rows = [
        *rows_of(CASSLE, "cassle", seed=0),
        *rows_of(CASSLE, "cassle", seed=1),
        *rows_of([[0.1, 0.25]], "random", seed=0),
        *rows_of([[0.1, 0.05]], "random", seed=1),
    ]
    assert numbers(method(rows, "cassle", seeds=[0, 1]))["T"] == pytest.approx([0.3 - 0.25, 0.3 - 0.05])


def test_methods_stand_in_the_order_of_the_study_and_are_empty_where_nothing_ran():
    rows = all_rows(objective="byol")
    found = methods(rows, objectives=["simclr", "byol"], strategies=["cassle", "offline", "finetune"])
    assert [(method.objective, method.strategy, sorted(method.matrices)) for method in found] == [
        ("", "random", [0]),
        *(("simclr", strategy, []) for strategy in ("cassle", "offline", "finetune")),
        *(("byol", strategy, [0]) for strategy in ("cassle", "offline", "finetune")),
    ]
    np.testing.assert_array_equal(found[5].matrices[0], OFFLINE)
    np.testing.assert_array_equal(found[5].random[0], RANDOM_ROW)


@pytest.mark.parametrize(
    "other",
    [{"stream": "digits-class2"}, {"probe": "online"}, {"seed": 7}, {"backbone": "resnet18"}, {"objective": "byol"}],
)
def test_rows_of_another_stream_probe_seed_backbone_or_objective_do_not_count(other):
    rows = all_rows()
    strangers = [{**row, **other, "accuracy": 0.0} for row in rows if row["strategy"] != "random"]
    for before, after in zip(methods(rows), methods(strangers + rows), strict=True):
        assert numbers(before) == numbers(after)


def test_each_backbone_has_its_own_random_network():
    rows = all_rows() + [{**row, "backbone": "resnet18", "accuracy": row["accuracy"] / 2} for row in all_rows()]
    found = methods(rows, backbones=["resnet18", "conv3"])
    assert [(method.backbone, method.strategy) for method in found if method.strategy in ("random", "cassle")] == [
        ("resnet18", "random"),
        ("resnet18", "cassle"),
        ("conv3", "random"),
        ("conv3", "cassle"),
    ]
    assert [method.values(METRICS["T"]) for method in found if method.strategy == "cassle"] == [
        [pytest.approx(0.05)],
        [pytest.approx(0.1)],
    ]


@pytest.mark.parametrize("column", ["device", "precision", "loader", "threads", "code"])
def test_a_mixture_is_named_by_its_column(column):
    other = all_rows(seed=1, **{column: "other"})
    mixed = method(all_rows() + other, "cassle", seeds=[0, 1])
    assert mixed.mixed == [column]
    assert method(all_rows() + all_rows(seed=1), "cassle", seeds=[0, 1]).mixed == []


def test_code_of_the_first_task_is_no_mixture_as_it_depends_on_less():
    rows = all_rows()
    for row in rows:
        row["code"] = f"code of task {row['task']}"
    assert method(rows, "cassle").mixed == []
    for row in rows:
        row["device"] = f"device of task {row['task']}"
    assert method(rows, "cassle").mixed == ["device"]


def test_the_spread_is_the_standard_deviation_of_a_sample():
    assert spread([1.0, 2.0, 4.0]) == pytest.approx(math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))
    assert spread([0.5, 0.5]) == 0
    assert math.isnan(spread([0.5]))
    assert math.isnan(spread([]))


def test_tasks_of_another_stream_have_an_average_and_neither_forgetting_nor_transfer():
    rows = rows_of([[0.2, 0.4, 0.6], [0.3, 0.5, 0.7]], "finetune", tasks=2) + rows_of([[0.1, 0.1, 0.4]], "random")
    assert numbers(method(rows, "finetune")) == {"A": [pytest.approx(0.5)], "F": [], "T": []}
    assert numbers(method(rows, "random"))["A"] == [pytest.approx(0.2)]


def test_an_evaluation_on_other_data_than_the_tasks_has_an_accuracy_and_nothing_to_forget():
    rows = [{**row, "tasks": 3} for row in rows_of([[0.5], [0.6], [0.7]], "cassle")]
    rows += [{**row, "tasks": 3} for row in rows_of([[0.1]], "random")]
    found = method(rows, "cassle")
    assert numbers(found) == {"A": [0.7], "F": [], "T": []}
    assert [name for name in METRICS if found.has(name)] == ["A"]


def test_only_what_belongs_together_in_the_study_has_a_cell():
    names = [("finetune", PROBE), ("cassle", "another")]
    rows = [
        {"stream": STREAM, "backbone": "conv3", "objective": "simclr", "strategy": name, "probe": probe, "epochs": 1}
        for name, probe in names
    ]
    study = summary(rows=rows, probes=[PROBE, "another"])
    found = [method.strategy for method in methods_of(pd.DataFrame(all_rows()), study, STREAM, PROBE)]
    assert found == ["random", "finetune"]
