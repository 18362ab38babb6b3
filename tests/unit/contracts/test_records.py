"""Records: complete ones are read as they were written, and anything else is one message with file and remedy."""

import json

import pytest

from cassle.contracts.layout import METRICS
from cassle.contracts.records import (
    AttemptRecord,
    EpochRecord,
    FailureRecord,
    PlanRecord,
    ProbeRecord,
    ProgressRecord,
    TrainRecord,
    read_lines,
    read_record,
    read_record_if_present,
    write_lines,
    write_record,
)
from cassle.contracts.summary import StudyRecord
from cassle.core.errors import DataError
from cassle.monitor.tracking.ledger import Shown
from tests.unit.contracts.damage import DAMAGED, REMEDY, damage, damage_first_line
from tests.unit.plan.world import evaluated, finished, plan

SMALL = [
    PlanRecord(host="here", train=["a"], probes=[], trackers={}, others={"runs.csv": "runs.log"}),
    ProgressRecord(task=1, device="cpu", host="here", pid=3, epoch=1, epochs=2, updated=5.0),
    FailureRecord(digest="ab", message="no images", final=True),
    AttemptRecord(began=1.5, host="here", leased="cpu", ended=2.5),
    Shown(generation=1, checkpoint="ab", accuracies="cd", places=("run",)),
    EpochRecord(epoch=0, loss=1.0, objective=0.5, penalty=0.5, online=2.0, lr=0.1),
]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """One record of each kind."""
    made, folder = plan(probes=["knn"]), tmp_path_factory.mktemp("records")
    job = next(iter(made.train.values()))
    probe = next(one for one in made.probe.values() if one.at == job.at)
    large = [finished(folder, job), evaluated(folder, probe), made.summary()]
    return {type(record): record for record in [*large, *SMALL]}


KINDS = [TrainRecord, ProbeRecord, StudyRecord, *map(type, SMALL)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_read_as_it_was_written_whatever_else_is_in_the_file(records, kind, tmp_path):
    file = tmp_path / "record.json"
    write_record(file, records[kind])
    assert read_record(kind, file) == records[kind]
    held = json.loads(file.read_text())
    assert held["version"] == kind.VERSION
    file.write_text(json.dumps({**held, "weather": "fine"}))
    assert read_record(kind, file) == records[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_record_is_asked_for_or_is_none(kind, tmp_path):
    assert read_record_if_present(kind, tmp_path / "none.json") is None
    with pytest.raises(DataError, match=r"there is no .*none\.json; check the path, or run the workflow, which writes"):
        read_record(kind, tmp_path / "none.json")


@pytest.mark.parametrize("how", DAMAGED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_is_one_message_with_its_name_and_the_remedy(records, kind, how, tmp_path):
    file = tmp_path / "record.json"
    write_record(file, records[kind])
    damage(file, how)
    for read in (read_record, read_record_if_present):
        with pytest.raises(DataError, match=rf"record\.json(.|\n)*{REMEDY}$"):
            read(kind, file)


@pytest.mark.parametrize("how", DAMAGED)
@pytest.mark.parametrize("kind", [AttemptRecord, EpochRecord])
def test_damaged_lines_are_one_message_with_the_file_the_line_and_the_remedy(records, kind, how, tmp_path):
    file = tmp_path / "lines.jsonl"
    write_lines(file, [records[kind], records[kind]])
    damage_first_line(file, how)
    where = r"lines\.jsonl" if how == "not UTF-8" else r"lines\.jsonl, line 1\b"
    with pytest.raises(DataError, match=rf"{where}(.|\n)*{REMEDY}$"):
        read_lines(kind, file)


def test_a_newer_version_is_refused_in_words(records, tmp_path):
    file = tmp_path / "record.json"
    write_record(file, records[FailureRecord])
    damage(file, "a newer version")
    with pytest.raises(DataError, match="has version 99, and this software reads versions up to 1: a newer release"):
        read_record(FailureRecord, file)


def test_lines_are_records_and_a_damaged_one_is_named_by_its_number(tmp_path):
    file, epoch = tmp_path / METRICS, SMALL[-1]
    assert read_lines(EpochRecord, file) == []
    write_lines(file, [epoch, epoch])
    assert read_lines(EpochRecord, file) == [epoch, epoch]
    file.write_text(file.read_text() + "garbage\n")
    with pytest.raises(DataError, match=rf"metrics\.jsonl, line 3: .*{REMEDY}"):
        read_lines(EpochRecord, file)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accuracies": {"knn": [0.5, 0.25, 0.1, 0.2]}}, "accuracies of knn has 4 values for 3 tasks"),
        ({"accuracies": {"knn": [0.5]}}, "accuracies of knn has 1 values for 3 tasks"),
        ({"task_aware": {"knn": [0.5]}}, "task_aware of knn has 1 values for 3 tasks"),
        ({"task_aware": {}}, "task_aware of knn has 0 values for 3 tasks"),
        ({"own_tasks": {"knn": ["a"]}}, "accuracies of knn has 3 values for 1 tasks"),
        ({"accuracies": {"knn": [0.5, 50.0, 0.1]}}, r"'accuracies\.knn\.1' = 50\.0"),
        ({"accuracies": {"knn": [0.5, -0.1, 0.1]}}, r"'accuracies\.knn\.1' = -0\.1"),
        ({"execution": {"device": "cpu", "precision": {}, "threads": 1}}, "execution says no precision of knn"),
    ],
)
def test_accuracies_that_cannot_be_are_refused(records, changes, reason, tmp_path):
    (tmp_path / "knn.json").write_text(json.dumps({**records[ProbeRecord].as_json(), **changes}))
    with pytest.raises(DataError, match=rf"knn\.json: .*{reason}(.|\n)*{REMEDY}"):
        read_record(ProbeRecord, tmp_path / "knn.json")


def test_the_key_of_a_training_names_what_determines_it_and_nothing_of_how_it_ran(records):
    record = records[TrainRecord]
    assert record.model_copy(update={"seconds": 5.0, "device": "gpu"}).key == record.key
    assert record.model_copy(update={"data": "2" * 16}).key != record.key
