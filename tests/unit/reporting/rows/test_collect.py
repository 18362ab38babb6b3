"""From a folder of results to rows: who inherits a first task, and what is left out."""

import re

import pytest

from cassle.contracts.specs import TrainSpec
from cassle.core.errors import DataError
from cassle.core.files import read_json, write_json
from cassle.reporting.rows.benchmark import jobs_of
from cassle.reporting.rows.collect import IDENTITY, collect
from cassle.reporting.rows.frame import COLUMNS
from tests.unit.reporting.made import evaluation, training_spec
from tests.unit.specs import provenance, train_record

STREAM = "digits-domain2"
BACKBONE = f"{STREAM}/conv3"
SIMCLR = f"{BACKBONE}/simclr"


class Results:
    """A made-up results folder; every file holds what its verb would write, as far as it is read."""

    def __init__(self, folder):
        self.folder = folder

    def train(self, place, checkpoint, parent=None, scenario="domain", **changes):
        made = provenance(TrainSpec.model_validate(training_spec(scenario)), parent=parent)
        record = train_record(made, checkpoint=checkpoint).as_json()
        write_json(self.folder / place / "train.json", {**record, **changes})

    def probe(self, place, checkpoint, stream=STREAM, changes=None, **accuracies):
        file = self.folder / place / "probes" / stream / f"{'+'.join(accuracies)}.json"
        write_json(file, evaluation(accuracies, checkpoint, stream, **(changes or {})))
        return file

    def add(self, place, checkpoint, parent=None, knn=(0.5, 0.25), **changes):
        """A training and its evaluation."""
        self.train(place, checkpoint, parent, **changes)
        self.probe(place, checkpoint, knn=list(knn))

    def collect(self):
        rows = collect(self.folder)
        assert all({*row} == {*COLUMNS} for row in rows)
        assert len({tuple(row[key] for key in IDENTITY) for row in rows}) == len(rows)
        return rows

    def cells(self):
        """(strategy, seed, task) -> accuracies of all evaluated tasks."""
        found = {}
        for row in self.collect():
            found.setdefault((row["strategy"], row["seed"], row["task"]), []).append(row["accuracy"])
        return found


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results")


def test_an_evaluation_gives_a_row_per_evaluated_task_and_probe(results):
    results.train(f"{SIMCLR}/cassle/seed3/task1", "aaaa", "0000")
    results.probe(f"{SIMCLR}/cassle/seed3/task1", "aaaa", knn=[0.5, 0.25], online=[0.75, 1.0])
    rows = results.collect()
    assert [(row["probe"], row["evaluated_task"], row["task_name"], row["accuracy"]) for row in rows] == [
        ("knn", 0, "part 0", 0.5),
        ("knn", 1, "part 1", 0.25),
        ("online", 0, "part 0", 0.75),
        ("online", 1, "part 1", 1.0),
    ]
    assert rows[0] == {
        "stream": STREAM,
        "scenario": "domain",
        "dataset": "digits",
        "tasks": 2,
        "backbone": "conv3",
        "objective": "simclr",
        "strategy": "cassle",
        "seed": 3,
        "task": 1,
        "evaluated_task": 0,
        "task_name": "part 0",
        "probe": "knn",
        "accuracy": 0.5,
        "task_aware": 0.5,
        "preset": "",
        "device": "cpu",
        "processes": 1,
        "precision": "fp32",
        "loader": "device",
        "threads": 1,
        "probe_device": "cpu",
        "probe_precision": "fp32",
        "code": "c0de",
        "checkpoint": "aaaa",
    }


def test_a_probe_of_another_stream_names_that_ones_tasks(results):
    place, own = f"{SIMCLR}/cassle/seed0/task1", {"own_tasks": {"transfer": ["birds all"]}}
    results.train(place, "aaaa")
    results.probe(place, "aaaa", changes=own, knn=[0.5, 0.25], transfer=[0.125])
    rows = [(row["stream"], row["tasks"], row["task_name"]) for row in results.collect() if row["probe"] == "transfer"]
    assert rows == [(STREAM, 2, "birds all")]


def test_variants_are_labels_like_any_other(results):
    results.add(f"{STREAM}/conv3/simclr~temperature=0.5/cassle~weight=2.0/seed0/task1", "aaaa")
    assert {(row["objective"], row["strategy"]) for row in results.collect()} == {
        ("simclr~temperature=0.5", "cassle~weight=2.0")
    }


def test_a_shared_first_task_counts_for_each_strategy_that_went_on_from_it(results):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa", knn=(0.9, 0.1))
    for strategy in ("finetune", "cassle"):
        results.add(f"{SIMCLR}/{strategy}/seed0/task1", strategy, parent="aaaa", knn=(0.6, 0.8))
    assert results.cells() == {
        (strategy, 0, task): accuracies
        for strategy in ("cassle", "finetune")
        for task, accuracies in enumerate([[0.9, 0.1], [0.6, 0.8]])
    }


def test_a_first_task_without_heirs_gives_no_rows_yet(results):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa")
    assert results.collect() == []


def test_heirs_are_those_of_the_same_objective_and_seed(results):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa")
    results.add(f"{SIMCLR}/finetune/seed1/task1", "bbbb", parent="aaaa")
    results.add(f"{BACKBONE}/byol/cassle/seed0/task1", "cccc", parent="aaaa")
    assert set(results.cells()) == {("finetune", 1, 1), ("cassle", 0, 1)}


def test_a_strategy_with_a_first_task_of_its_own_takes_none_of_the_shared_one(results, capsys):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa", knn=(0.9, 0.1))
    results.add(f"{SIMCLR}/ewc/seed0/task0", "bbbb", knn=(0.8, 0.2))
    results.add(f"{SIMCLR}/ewc/seed0/task1", "cccc", parent="bbbb", knn=(0.7, 0.7))
    assert results.cells() == {("ewc", 0, 0): [0.8, 0.2], ("ewc", 0, 1): [0.7, 0.7]}
    assert capsys.readouterr().out == ""


def test_a_memory_of_the_first_task_is_no_first_task_of_its_own(results):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa", knn=(0.9, 0.1))
    results.add(f"{SIMCLR}/er/seed0/task1", "cccc", parent="aaaa", knn=(0.7, 0.7))
    kept = results.folder / SIMCLR / "er/seed0/task0/memory.pt"
    kept.parent.mkdir()
    kept.write_bytes(b"")
    assert results.cells() == {("er", 0, 0): [0.9, 0.1], ("er", 0, 1): [0.7, 0.7]}


def test_a_strategy_that_went_on_from_another_first_task_is_left_without_one_and_named(results, capsys):
    results.add(f"{SIMCLR}/first/seed0/task0", "new", knn=(0.9, 0.1))
    results.add(f"{SIMCLR}/finetune/seed0/task1", "bbbb", parent="old")
    results.add(f"{SIMCLR}/cassle/seed0/task1", "cccc", parent="new")
    assert set(results.cells()) == {("finetune", 0, 1), ("cassle", 0, 0), ("cassle", 0, 1)}
    reported = capsys.readouterr().out
    assert "left out: task 0" in reported
    assert "finetune" in reported
    assert "cassle/seed0" not in reported


def test_an_evaluation_of_an_earlier_checkpoint_is_left_out_and_named(results, capsys):
    place = f"{SIMCLR}/cassle/seed0/task1"
    results.add(place, "new")
    results.train(place, "newer")
    results.probe(place, "newer", online=[0.3, 0.4])
    assert results.cells() == {("cassle", 0, 1): [0.3, 0.4]}
    reported = capsys.readouterr().out
    assert "left out" in reported
    assert "knn.json" in reported


def test_an_evaluation_beside_which_no_training_is_recorded_is_left_out(results):
    results.probe(f"{SIMCLR}/cassle/seed0/task1", "aaaa", knn=[0.5, 0.5])
    assert results.collect() == []


def test_joint_training_is_called_offline_on_every_stream_it_is_evaluated_on(results):
    place = "digits-all/conv3/simclr/first/seed0/task0"
    results.train(place, "aaaa", scenario="all")
    results.probe(place, "aaaa", knn=[0.9, 0.8])
    results.probe(place, "aaaa", stream="digits-class5", knn=[0.9, 0.8, 0.7, 0.6, 0.5])
    rows = results.collect()
    assert {(row["stream"], row["strategy"], row["objective"], row["task"]) for row in rows} == {
        (STREAM, "offline", "simclr", 0),
        ("digits-class5", "offline", "simclr", 0),
    }
    assert len(rows) == 2 + 5


def test_the_untrained_network_is_called_random_and_has_no_objective(results):
    results.probe(f"{BACKBONE}/random/seed4", None, knn=[0.1, 0.2])
    rows = results.collect()
    assert [row["accuracy"] for row in rows] == [0.1, 0.2]
    kept = {key: rows[0][key] for key in ("strategy", "objective", "backbone", "seed", "task")}
    assert kept == {
        "strategy": "random",
        "objective": "",
        "backbone": "conv3",
        "seed": 4,
        "task": 0,
    }
    assert {rows[0][key] for key in ("device", "precision", "loader", "threads", "code", "checkpoint")} == {""}


def test_what_two_studies_evaluate_alike_stands_there_once(results):
    place, untrained = f"{SIMCLR}/cassle/seed0/task1", f"{BACKBONE}/random/seed0"
    results.add(place, "aaaa")
    results.probe(place, "aaaa", knn=[0.5, 0.25], online=[0.1, 0.2])
    results.probe(untrained, None, knn=[0.1, 0.2])
    results.probe(untrained, None, knn=[0.1, 0.2], linear_cached=[0.2, 0.3])
    rows = results.collect()
    assert sorted((row["strategy"], row["probe"], row["evaluated_task"]) for row in rows) == [
        (strategy, probe, task)
        for strategy, probes in (("cassle", ("knn", "online")), ("random", ("knn", "linear_cached")))
        for probe in probes
        for task in (0, 1)
    ]


def test_an_evaluation_says_where_and_in_which_precision_it_ran_that_of_the_random_network_too(results):
    ran = {"execution": {"device": "H100", "precision": {"knn": "fp32", "linear": "bf16"}, "threads": 1}}
    both = {"knn": [0.5, 0.25], "linear": [0.75, 0.5]}
    results.train(f"{SIMCLR}/cassle/seed0/task1", "aaaa")
    results.probe(f"{SIMCLR}/cassle/seed0/task1", "aaaa", changes=ran, **both)
    results.probe(f"{BACKBONE}/random/seed0", None, changes=ran, **both)
    said = {(row["strategy"], row["probe"]): (row["probe_device"], row["probe_precision"]) for row in results.collect()}
    assert said == {
        (strategy, probe): ("H100", precision)
        for strategy in ("cassle", "random")
        for probe, precision in (("knn", "fp32"), ("linear", "bf16"))
    }


def test_evaluations_that_contradict_each_other_are_refused_by_name(results):
    place, untrained = f"{SIMCLR}/cassle/seed0/task1", f"{BACKBONE}/random/seed0"
    results.train(place, "aaaa")
    for folder, checkpoint in ((place, "aaaa"), (untrained, None)):
        results.probe(folder, checkpoint, knn=[0.5, 0.5])
        results.probe(folder, checkpoint, knn=[0.9, 0.9], online=[0.1, 0.2])
    with pytest.raises(DataError) as error:
        results.collect()
    for folder in (place, untrained):
        files = [results.folder / folder / "probes" / STREAM / name for name in ("knn.json", "knn+online.json")]
        assert f"  knn in {files[1]} and in {files[0]}: 0.4000 apart" in str(error.value)
    assert str(error.value).endswith("delete the older files (or all of these) and run the same command again")


def test_a_contradiction_with_an_evaluation_of_an_earlier_checkpoint_is_none(results, capsys):
    place = f"{SIMCLR}/cassle/seed0/task1"
    results.train(place, "aaaa")
    results.probe(place, "old", knn=[0.1, 0.1], online=[0.1, 0.2])
    results.probe(place, "aaaa", knn=[0.5, 0.25])
    assert results.cells() == {("cassle", 0, 1): [0.5, 0.25]}
    assert "left out" in capsys.readouterr().out


def test_a_first_task_that_strategies_share_is_named_once(results, capsys):
    results.add(f"{SIMCLR}/first/seed0/task0", "aaaa", knn=(0.5, 0.25))
    results.probe(f"{SIMCLR}/first/seed0/task0", "aaaa", knn=[0.505, 0.25], online=[0.1, 0.2])
    for strategy in ("finetune", "cassle"):
        results.train(f"{SIMCLR}/{strategy}/seed0/task1", strategy, parent="aaaa")
    results.collect()
    assert capsys.readouterr().out.count("left out") == 1


@pytest.mark.parametrize("name", ["seedX/task1", "seed/task1", "seed0.old/task1", "seed0/task1b"])
def test_a_folder_without_a_number_is_refused_by_its_name(results, name):
    results.add(f"{SIMCLR}/cassle/{name}", "aaaa")
    wrong = f"{SIMCLR}/cassle/{name.removesuffix('/task1')}"
    with pytest.raises(DataError, match=f"{re.escape(wrong)}.*: '.*' should be '(seed|task)' and a number; rename"):
        results.collect()
    with pytest.raises(DataError, match=f"{re.escape(wrong)}.*: '.*' should be '(seed|task)' and a number; rename"):
        jobs_of(results.folder)


def test_a_random_networks_folder_without_a_number_is_refused_by_its_name(results):
    results.probe(f"{BACKBONE}/random/seed0b", None, knn=[0.1, 0.2])
    for read in (collect, jobs_of):
        with pytest.raises(DataError, match="random/seed0b: 'seed0b' should be 'seed' and a number"):
            read(results.folder)


def test_a_record_whose_settings_are_incomplete_is_refused_by_its_name(results):
    place = f"{SIMCLR}/cassle/seed0/task1"
    results.add(place, "aaaa", spec={key: value for key, value in training_spec().items() if key != "training"})
    with pytest.raises(DataError, match=r"task1/train\.json: 'spec\.training' is missing; delete that file"):
        results.collect()


def test_the_order_of_rows_does_not_depend_on_the_order_of_work(tmp_path):
    places = [f"{SIMCLR}/{strategy}/seed{seed}/task1" for strategy in ("cassle", "ewc") for seed in (0, 1, 10)]
    made = []
    for name, order in (("one", places), ("two", places[::-1])):
        results = Results(tmp_path / name)
        for place in order:
            results.add(place, place)
        made.append(results.collect())
    assert made[0] == made[1]


def test_files_that_are_no_results_are_passed_over(results):
    results.add(f"{SIMCLR}/cassle/seed0/task1", "aaaa")
    write_json(results.folder / "studies/digits/study.json", {})
    write_json(results.folder / "data/digits/notes.json", {})
    (results.folder / SIMCLR / "cassle/seed0/task1/probes" / STREAM / "knn.log").write_text("log")
    assert len(results.collect()) == 2
    assert read_json(results.folder / SIMCLR / "cassle/seed0/task1/train.json")["checkpoint"] == "aaaa"


def test_no_results_give_no_rows(tmp_path):
    assert collect(tmp_path / "nowhere") == []
