"""One row per job: what records, benchmarks and attempts say of it, and whatever of them is missing."""

import math

import pytest

from cassle.contracts.records import AttemptRecord, write_lines, write_record
from cassle.contracts.specs import TrainSpec
from cassle.core.errors import DataError
from cassle.core.files import write_json, write_text
from cassle.reporting.rows.benchmark import COLUMNS, jobs_of, jobs_of_study, read_jobs, spent_on_run, write_jobs
from tests.unit.reporting.made import STREAM, summary, training_spec
from tests.unit.specs import probe_record, provenance, train_record

RUN = f"{STREAM}/conv3/simclr"


MADE = provenance(TrainSpec.model_validate(training_spec()))


def put(results, place, name, record=None, wall=None, attempts=()):
    """Write what a job leaves beside ``name``."""
    stem = results / place / name
    if record is not None:
        write_record(stem.with_name(f"{name}.json"), record)
    if wall is not None:
        text = f"s\th:m:s\tmax_rss\tmax_vms\n{wall}\t0:00:01\t512.5\t-\n"
        write_text(stem.with_name(f"{name}.benchmark.tsv"), text)
    if attempts:
        write_lines(stem.with_name(f"{name}.times.jsonl"), attempts)


@pytest.fixture
def results(tmp_path):
    first = train_record(MADE, seconds=3600.0, images_per_second=100.0, flops=7)
    put(tmp_path, f"{RUN}/first/seed0/task0", "train", first, 3700.0)
    killed = AttemptRecord(began=0, host="atlas")
    attempts = [killed, AttemptRecord(began=60, ended=120, host="atlas", gpu_mb=2048.0)]
    second = train_record(MADE, seconds=1800.0, device="H100", flops=4)
    put(tmp_path, f"{RUN}/cassle/seed0/task1", "train", second, 1900.0, attempts)
    probed = probe_record({"knn": [0.5], "online": [0.5]}, "c0", seconds=5.0)
    put(tmp_path, f"{RUN}/cassle/seed0/task1/probes/{STREAM}", "knn+online", probed, 6.0)
    put(tmp_path, f"{RUN}/cassle/seed0/task0", "build_memory", wall=9.0)
    put(
        tmp_path, f"{STREAM}/conv3/random/seed0/probes/{STREAM}", "knn", probe_record({"knn": [0.5]}, None, seconds=2.0)
    )
    put(tmp_path, "digits-all/conv3/simclr/first/seed0/task0", "train", train_record(MADE, seconds=7200.0))
    for name in (".finished.train.json", "progress.json", "failed.json"):
        write_json(tmp_path / RUN / "cassle/seed0/task1" / name, {"seconds": 1.0})
    return tmp_path


@pytest.fixture
def jobs(results):
    write_jobs(results / "benchmark.csv", jobs_of(results))
    return read_jobs(results / "benchmark.csv")


def test_every_job_has_one_row_and_other_files_have_none(jobs):
    assert [
        tuple(row) for row in jobs[["job", "stream", "objective", "strategy", "task", "evaluation"]].to_numpy()
    ] == [
        ("train", "digits-all", "simclr", "first", 0, ""),
        ("probe", STREAM, "", "random", 0, STREAM),
        ("build_memory", STREAM, "simclr", "cassle", 0, ""),
        ("probe", STREAM, "simclr", "cassle", 1, STREAM),
        ("train", STREAM, "simclr", "cassle", 1, ""),
        ("train", STREAM, "simclr", "first", 0, ""),
    ]


def test_a_row_says_time_speed_memory_device_and_attempts(jobs):
    row = jobs[(jobs["job"] == "train") & (jobs["strategy"] == "cassle")].iloc[0]
    assert (row["seconds"], row["wall_seconds"], row["memory_mb"], row["gpu_mb"]) == (1800.0, 1900.0, 512.5, 2048.0)
    assert (row["device"], row["host"], row["attempts"]) == ("H100", "atlas", 2)
    assert row["intervals"] == "1970-01-01T00:00:00Z/ 1970-01-01T00:01:00Z/1970-01-01T00:02:00Z"
    assert row["folder"] == f"{RUN}/cassle/seed0/task1"
    first = jobs[(jobs["job"] == "train") & (jobs["strategy"] == "first") & (jobs["stream"] == STREAM)].iloc[0]
    assert (first["images_per_second"], first["attempts"], first["intervals"]) == (100.0, 1, "")


def test_what_is_not_known_stays_empty(jobs):
    memory = jobs[jobs["job"] == "build_memory"].iloc[0]
    assert math.isnan(memory["seconds"])
    assert memory["wall_seconds"] == 9.0
    assert memory["device"] == ""


def test_what_a_run_took_includes_its_shared_first_task(jobs):
    trained = jobs[(jobs["job"] == "train") & (jobs["stream"] == STREAM)]
    assert spent_on_run(trained, "conv3", "simclr", "cassle", 0, tasks=2) == 5400
    assert spent_on_run(trained, "conv3", "simclr", "cassle", 0, 2, "flops") == 11
    joint = jobs[(jobs["job"] == "train") & (jobs["stream"] == "digits-all")]
    assert spent_on_run(joint, "conv3", "simclr", "offline", 0, tasks=1) == 7200
    assert math.isnan(spent_on_run(joint, "conv3", "simclr", "offline", 0, 1, "flops"))
    assert math.isnan(spent_on_run(trained, "conv3", "byol", "cassle", 0, tasks=2))


@pytest.mark.parametrize(("missing", "tasks"), [(0, 2), (1, 2), (None, 3)])
def test_what_a_run_took_is_not_known_while_a_task_of_it_is_missing(jobs, missing, tasks):
    trained = jobs[(jobs["job"] == "train") & (jobs["stream"] == STREAM) & (jobs["task"] != missing)]
    assert math.isnan(spent_on_run(trained, "conv3", "simclr", "cassle", 0, tasks))


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 6),
        ({"strategies": ["finetune", "cassle"], "joint": {}}, 5),
        ({"seeds": [1]}, 0),
        ({"objectives": ["byol"]}, 1),
        ({"backbones": ["x"]}, 0),
    ],
)
def test_jobs_of_a_study_are_those_its_tables_rest_on(jobs, changes, count):
    assert len(jobs_of_study(jobs, summary(**changes))) == count


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"a,b\n1,2\n", b",".join(c.encode() for c in COLUMNS) + b"\nx\n"]
)
def test_a_bad_file_is_refused_with_its_name_and_what_to_do(tmp_path, content):
    file = tmp_path / "benchmark.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"benchmark\.csv(.|\n)*delete it and run `cassle collect`"):
        read_jobs(file)


@pytest.mark.parametrize(
    ("column", "value"),
    [("seconds", -1.0), ("flops", float("inf")), ("attempts", 0), ("task", -1), ("memory_mb", -3.0)],
)
def test_a_number_out_of_its_range_is_refused_with_its_line(results, column, value):
    rows = jobs_of(results)
    rows[1][column] = value
    write_jobs(results / "benchmark.csv", rows)
    message = rf"benchmark\.csv, line 3: {column} = {value}.*; delete it and run `cassle collect`"
    with pytest.raises(DataError, match=message):
        read_jobs(results / "benchmark.csv")


def test_no_results_give_an_empty_table(tmp_path):
    write_jobs(tmp_path / "benchmark.csv", jobs_of(tmp_path / "nowhere"))
    assert list(read_jobs(tmp_path / "benchmark.csv").columns) == list(COLUMNS)
