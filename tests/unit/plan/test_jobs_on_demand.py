"""A job of the workflow sees what the main process planned, from the plan file or from the same request alone."""

import json

import pytest
import yaml

from cassle.contracts.plan_file import JobPlan
from cassle.contracts.records import write_record
from cassle.core.errors import SettingsError
from cassle.core.files import write_text
from cassle.plan import targets
from cassle.plan.finished import other_code, other_tables
from cassle.plan.request import JobsOnDemand, Request, plan_study
from cassle.plan.warnings import warnings
from tests.unit.plan.world import evaluated, finished

STUDY = {
    "name": "mine",
    "streams": ["digits-class2", "digits-domain2"],
    "backbones": ["conv3-narrow"],
    "strategies": ["finetune", "cassle", "er"],
    "seeds": [0, 1],
    "offline": True,
    "probes": ["knn", {"name": "transfer", "to": "digits-class5", "classifier": {"name": "linear_cached"}}],
    "grids": [
        {"objectives": ["simclr"]},
        {"objectives": [{"name": "byol", "training": {"epochs": 2}}], "probes": ["online"], "offline": False},
    ],
}


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    """What a user typed: two files and overrides."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    (folder / "more.yaml").write_text("execution: {device: cpu, gpus: 2}\n")
    return Request({"training": {"batch_size": "64"}}, [str(folder / "mine.yaml"), str(folder / "more.yaml")])


@pytest.fixture(scope="module")
def planned(request_, tmp_path_factory):
    return plan_study(request_, tmp_path_factory.mktemp("empty"))


@pytest.fixture
def pod(request_, tmp_path, monkeypatch):
    """A function that begins a job in a directory without a plan file."""
    monkeypatch.chdir(tmp_path)

    def begin():
        request_.plan_file().unlink(missing_ok=True)
        return JobsOnDemand(request_)

    return begin


def line_of(plan_file, kind, key):
    """The line of an entry of a plan file."""
    prefix = f'["{kind}",{json.dumps(key)},'
    (line,) = [line for line in plan_file.read_text().split("\n") if line.startswith(prefix)]
    return line


def test_every_kind_of_job_is_planned_here(planned):
    objectives = {job.spec.objective.name for job in planned.train.values()}
    assert objectives == {"simclr", "byol"}
    assert {job.spec.seed for job in planned.train.values()} == {0, 1}
    assert {job.spec.stream.scenario for job in planned.train.values()} == {"class", "domain", "all"}
    assert planned.memory
    assert {job.at is None for job in planned.probe.values()} == {True, False}
    assert "digits-class5" in planned.streams
    assert not any(job.spec.stream.name == "digits-class5" for job in planned.train.values())


def test_without_a_plan_file_each_job_is_resolved_as_in_the_main_process_byte_by_byte(planned, pod, tmp_path):
    targets.plan_file(planned).write(tmp_path / "whole.json")
    for kind, jobs in (("train", planned.train), ("memory", planned.memory), ("probe", planned.probe)):
        for name, job in jobs.items():
            alone = pod()
            assert getattr(alone, f"{kind}_job")(name) == job
            assert alone.site == planned.study.site()
            written = JobPlan(alone.path)
            assert getattr(written, f"{kind}_job")(name) == job
            assert written.site == planned.study.site()
            assert line_of(alone.path, kind, name) == line_of(tmp_path / "whole.json", kind, name)


def test_without_a_plan_file_each_stream_and_index_is_found_transfer_targets_among_them(planned, pod):
    for name, stream in planned.streams.items():
        alone = pod()
        assert alone.stream(name) == stream
        assert JobPlan(alone.path).stream(name) == stream
    for label in {stream.index for stream in planned.streams.values()}:
        alone = pod()
        found = alone.stream_of_index(label)
        assert (found.dataset, found.index_data) == ("digits", planned.stream_of_index(label).index_data)
        assert JobPlan(alone.path).stream_of_index(label).index_data == found.index_data


def test_one_process_may_ask_for_several_jobs(planned, pod):
    alone = pod()
    for folder, job in planned.train.items():
        assert alone.train_job(folder) == job
    for file, job in planned.probe.items():
        assert alone.probe_job(file) == job
    stored = JobPlan(alone.path)
    assert all(stored.train_job(folder) == job for folder, job in planned.train.items())
    assert all(stored.probe_job(file) == job for file, job in planned.probe.items())


def test_a_run_resolves_no_other_run(planned, pod):
    alone = pod()
    folder = next(folder for folder, job in planned.train.items() if job.spec.stream.name == "digits-class2")
    alone.train_job(folder)
    lines = alone.path.read_text().split("\n")
    trained = [json.loads(line)[1] for line in lines if line.startswith('["train"')]
    assert folder in trained
    assert {one.rpartition("/task")[0].rpartition("/")[2] for one in trained} == {"seed0"}
    assert {one.split("/")[3] for one in trained} == {folder.split("/")[3]}


def test_what_nobody_planned_is_refused_by_its_path(pod):
    for folder in (
        "results/digits-class2/conv3-narrow/simclr/cassle/seed7/task0",
        "results/digits-class2/conv3-narrow/vicreg/cassle/seed0/task0",
        "results/digits-class3/conv3-narrow/simclr/cassle/seed0/task0",
    ):
        with pytest.raises(SettingsError, match=f"{folder} is not part of the study 'mine'"):
            pod().train_job(folder)


def test_with_a_plan_file_jobs_are_read_from_it(request_, planned, pod, monkeypatch):
    path = pod().path
    targets.plan_file(planned).write(path)
    monkeypatch.setattr("cassle.plan.request._plan", lambda *args: pytest.fail("resolved again"))
    stored = JobsOnDemand(request_)
    assert all(stored.train_job(folder) == job for folder, job in planned.train.items())


def test_planning_twice_around_a_run_writes_the_same_bytes(request_, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written():
        made = plan_study(request_, tmp_path)
        warnings(made, root=tmp_path)
        other_code(made, tmp_path)
        other_tables(made, tmp_path)
        targets.plan_file(made).write(request_.plan_file())
        write_record(tmp_path / made.folder.plan, targets.plan_record(made))
        return made, request_.plan_file(), request_.plan_file().read_bytes(), (tmp_path / made.folder.plan).read_bytes()

    made, *before = written()
    for job in made.train.values():
        finished(tmp_path, job)
        (tmp_path / job.at.checkpoint).touch()
    for job in made.probe.values():
        evaluated(tmp_path, job)
    for folder in (part.folder for part in made.parts()):
        write_record(tmp_path / folder.study, made.summary())
    for file in [*targets.tables(made), *targets.figures(made), *targets.pages(made), "results/runs.csv"]:
        write_text(tmp_path / file, "")
    assert written()[1:] == tuple(before)
