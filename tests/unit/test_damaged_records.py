"""A damaged record in front of everything that reads it: one message that names the file, and no traceback."""

import json
import shutil
from pathlib import Path

import pytest

from cassle.cli import main
from cassle.contracts.layout import FAILURE, PROGRESS, TaskFolder
from cassle.contracts.records import (
    AttemptRecord,
    EpochRecord,
    FailureRecord,
    ProgressRecord,
    write_lines,
    write_record,
)
from cassle.core.errors import DataError
from cassle.core.files import fingerprint
from cassle.evaluation.probe_checkpoint import reusable
from cassle.monitor.status import last_words
from cassle.monitor.timing import times_file
from cassle.monitor.tracking.follow import follow
from cassle.monitor.tracking.ledger import Ledger, Shown
from cassle.plan import targets
from cassle.plan.finished import other_code, other_tables
from cassle.plan.request import Request, plan_study
from tests.unit.contracts.damage import damage, damage_first_line
from tests.unit.plan.world import evaluated, finished

STREAM = "digits-domain2"
OVERRIDES = {
    "name": "mine",
    "streams": [STREAM],
    "backbones": ["conv3-narrow"],
    "objectives": ["simclr"],
    "strategies": ["cassle"],
    "probes": ["knn"],
    "features": ["pca"],
}
STUDY, PLAN_FILE = "results/studies/mine", "plan.json"
TABLE = ["--runs", "results/runs.csv", "--study", f"{STUDY}/study.json", "--stream", STREAM, "--probe", "knn"]
TASK = f"results/{STREAM}/conv3-narrow/simclr/first/seed0/task0"
ACCURACIES = f"{TASK}/probes/{STREAM}/knn.json"


class Tracker:
    """Shows nothing, but asks the ledger what has been shown."""

    def __init__(self):
        self.ledger = Ledger(Path("results/tracking"))

    def show(self, training):
        self.ledger.entry(training)

    def show_tables(self, study):
        pass

    def close(self):
        pass


def planned():
    """What a dry run plans, with its warnings."""
    plan = plan_study(Request(OVERRIDES, []))
    other_code(plan), other_tables(plan)
    return plan


def verb(*words):
    """What a verb of the command line does: raise its message, or fail the test if there is more of it than one."""

    def run(capsys):
        code = main(list(words))
        said = capsys.readouterr().err
        if code:
            assert (code, said.count(f"cassle {words[0]}: ")) == (1, 1)
            raise DataError(said.removeprefix(f"cassle {words[0]}: "))

    return run


def call(function):
    """A reader that is no verb."""
    return lambda capsys: function()


READERS = {
    "dry run": call(planned),
    "last words": call(lambda: last_words(Path(STUDY))),
    "trackers": call(lambda: follow(Path(STUDY), Tracker())),
    "reuse": call(lambda: reusable([Path(ACCURACIES)], {})),
    "status": verb("status"),
    "plan": verb("plan", *(f"{key}={json.dumps(value)}" for key, value in OVERRIDES.items())),
    "show --since": verb("show", STUDY, "--since", "0"),
    "tensorboard": verb("tensorboard", STUDY),
    "collect": verb("collect", "--out", "out/runs.csv", "--results", "results", "--jobs", "out/benchmark.csv"),
    "table": verb("table", *TABLE, "--out", "out/knn.md"),
    "table --partial": verb("table", "--partial", STUDY),
    "figure": verb("figure", *TABLE, "--name", "bars", "--out", "out/bars.pdf"),
    "timeline": verb("timeline", "--jobs", "results/benchmark.csv", "--study", TABLE[3], "--out", "out/timeline.pdf"),
    "page": verb(
        *("page", "--plan", PLAN_FILE, "--jobs", "results/benchmark.csv", *TABLE[:4], "--out", "out/report.html")
    ),
    "feature_figure": verb(
        "feature_figure", "--plan", PLAN_FILE, "--name", "pca", "--study", TABLE[3], "--out", f"out/{STREAM}/pca.pdf"
    ),
    "train": verb("train", "--plan", PLAN_FILE, "--folder", TASK),
    "build_memory": verb("build_memory", "--plan", PLAN_FILE, "--out", f"{TASK}/memory.pt"),
    "probe": verb("probe", "--plan", PLAN_FILE, "--out", ACCURACIES),
    "features": verb(
        *("features", "--plan", PLAN_FILE, "--checkpoint", "c.pt", "--index", "i.npz", "--split", "s.npz"),
        *("--out", f"{TASK}/features/{STREAM}.npz"),
    ),
    "prepare": verb("prepare", "--plan", PLAN_FILE, "--out", "results/data/digits/index.npz"),
    "split": verb("split", "--plan", PLAN_FILE, "--index", "i.npz", "--out", f"results/{STREAM}/split.npz"),
    "study": verb("study", "--plan", PLAN_FILE, "--out", f"{STUDY}/study.json"),
}
TRACKED = f"results/tracking/{fingerprint(TASK)}.json"
METRICS = TaskFolder.parse(TASK).metrics
RECORDS = {
    f"{TASK}/train.json": ["dry run", "plan", "collect", "page", "trackers", "tensorboard", "show --since"],
    ACCURACIES: ["plan", "collect", "trackers", "tensorboard", "reuse", "show --since"],
    f"{STUDY}/study.json": ["dry run", "table", "table --partial", "figure", "timeline", "page"],
    f"{STUDY}/plan.json": ["status", "last words", "trackers", "tensorboard"],
    f"{TASK}/{PROGRESS}": ["status"],
    f"{TASK}/{FAILURE}": ["status"],
    str(times_file(f"{TASK}/train.json")): ["collect", "table --partial"],
    METRICS: ["trackers", "tensorboard"],
    TRACKED: ["trackers"],
    PLAN_FILE: [
        *("prepare", "split", "train", "build_memory", "probe", "features", "study", "page", "feature_figure"),
    ],
}
"""Record -> its readers."""
LINES = (METRICS, str(times_file(f"{TASK}/train.json")), PLAN_FILE)
KINDS = ["an empty object", "a list", "null", "half a file", "another type", "a newer version"]
UNFINISHED = (f"{TASK}/{PROGRESS}", f"{TASK}/{FAILURE}")
"""Records that only an unfinished training has."""


@pytest.fixture(scope="module")
def finished_study(tmp_path_factory):
    """A directory with every record of a finished study."""
    root = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        plan = plan_study(Request(OVERRIDES, []))
        parent = None
        for number, job in enumerate(plan.train.values()):
            finished(root, job, checkpoint=f"{number}" * 16, parent=parent)
            parent = f"{number}" * 16
            write_lines(times_file(job.at.record), [AttemptRecord(began=1.0, ended=2.0)])
            write_lines(job.at.metrics, [EpochRecord(epoch=0, loss=1, objective=1, penalty=0, online=1, lr=0.1)])
        for job in plan.probe.values():
            evaluated(root, job, checkpoint=None if job.at is None else f"{job.at.task}" * 16)
            Path(job.file).with_suffix(".benchmark.tsv").write_text("s\tmax_rss\n1.0\t1.0\n")
        write_record(f"{STUDY}/study.json", plan.summary())
        write_record(f"{STUDY}/plan.json", targets.plan_record(plan))
        write_record(TRACKED, Shown(generation=0))
        targets.plan_file(plan).write(Path(PLAN_FILE))
        assert main(["collect", "--out", "results/runs.csv", "--jobs", "results/benchmark.csv"]) == 0
        assert main(["table", *TABLE, "--out", f"{STUDY}/tables/{STREAM}/knn.md"]) == 0
    return root


@pytest.fixture
def results(finished_study, tmp_path, monkeypatch):
    """A copy of that directory, as the current one."""
    shutil.copytree(finished_study, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def unfinish(record):
    """Let the training of a record be an unfinished one."""
    Path(TASK, "train.json").unlink()
    failure = FailureRecord(digest="ab", message="the loss is NaN", final=True)
    progress = ProgressRecord(task=0, device="cpu", host="elsewhere", pid=1, updated=0.0)
    write_record(record, failure if record.endswith(FAILURE) else progress)


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize(
    ("record", "reader"), [(record, one) for record, readers in RECORDS.items() for one in readers]
)
def test_a_damaged_record_is_one_message_that_names_the_file(results, capsys, record, reader, how):
    if record in UNFINISHED:
        unfinish(record)
    (damage_first_line if record in LINES else damage)(Path(record), how)
    with pytest.raises(DataError) as error:
        READERS[reader](capsys)
    message = str(error.value)
    assert record in message
    assert message.count("delete that file and run the workflow again") == 1
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "reader",
    sorted({one for readers in RECORDS.values() for one in readers} - {*RECORDS[PLAN_FILE], "table --partial"}),
)
def test_undamaged_records_are_no_error(results, capsys, reader):
    READERS[reader](capsys)
