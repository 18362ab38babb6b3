"""From the command line to a plan: which study is planned, and what it would overwrite."""

import pytest
import yaml

from cassle.contracts.records import write_record
from cassle.core.errors import SettingsError
from cassle.plan import resolve
from cassle.plan.finished import other_code, other_tables, refuse_overwriting
from cassle.plan.request import Request, plan_study
from cassle.settings.reading import read_study
from cassle.training.build import training_code
from tests.unit.plan.world import finished

GRID = {"streams": ["digits-domain2"], "objectives": ["simclr"], "strategies": ["finetune"]}


@pytest.fixture
def default(tmp_path, monkeypatch):
    file = tmp_path / "config.yaml"
    monkeypatch.setattr("cassle.plan.request.DEFAULT_STUDY", file)
    file.write_text("name: usual\nstreams: [digits-domain2]\nobjectives: [simclr]\nstrategies: [cassle]\n")
    return file


def planned(overrides, files):
    """The plan of what a user typed."""
    return plan_study(Request(overrides, [str(file) for file in files]))


def trained_with(job, **changes):
    """The specification of a job with another training."""
    return job.spec.model_copy(update={"training": job.spec.training.model_copy(update=changes)})


def test_the_default_study_is_read_when_nothing_else_is_asked_for(default):
    assert planned({}, []).study.name == "usual"


def test_single_settings_change_the_default_study(default):
    assert planned({"seeds": [0, 1]}, []).study.seeds == [0, 1]


def test_a_override_alone_changes_the_default_study_and_its_name(default):
    study = planned({"seed": 3}, []).study
    assert (study.seeds, study.strategies, study.name) == ([3], ["cassle"], "seed3")


def test_overrides_of_one_experiment_leave_the_default_study_alone(default):
    made = planned({"stream": "digits-class2", "objective": "byol", "strategy": "finetune"}, [])
    assert made.study.strategies == ["finetune"]
    assert made.study.name == "digits-class2-byol-finetune"


def test_overrides_beside_a_named_default_study_do_not_name_it_unless_they_are_of_one_experiment(default):
    assert planned({"offline": True}, []).study.name == "usual"
    assert planned({"seed": 3, "offline": True}, []).study.name == "seed3-offline=true"
    assert planned({"seed": 3, "name": "mine"}, []).study.name == "mine"
    default.write_text(default.read_text().replace("name: usual\n", ""))
    assert planned({"seed": 3}, []).study.name == "seed3"


def test_overrides_alone_name_the_study_by_all_that_they_say(default):
    experiment = {"stream": "digits-domain2", "objective": "simclr", "strategy": ["finetune", "cassle"]}
    changes = [{}, {"offline": True}, {"preset": "original"}, {"training": {"epochs": 2}}]
    names = [planned({**experiment, **change}, []).study.name for change in changes]
    assert names[0] == "digits-domain2-simclr-finetune-cassle"
    assert len(set(names)) == 4


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(GRID))
    return file


def test_a_study_file_stands_for_itself(default, mine):
    assert planned({}, [mine]).study.name == "study"


def test_a_study_file_without_a_name_is_named_with_the_overrides_beside_it(default, mine):
    assert planned({"seed": 3}, [mine]).study.name == "digits-domain2-simclr-finetune-seed3"
    mine.write_text("name: mine\n" + mine.read_text())
    assert planned({"seed": 3}, [mine]).study.name == "mine"


def test_overrides_go_before_the_overrides_of_a_file(default, mine):
    for file, files in ((default, []), (mine, [mine])):
        file.write_text(file.read_text() + "seed: 5\n")
        assert planned({"seeds": [3]}, files).study.seeds == [3]
        assert planned({"seed": 4}, files).study.seeds == [4]


def test_every_override_holds_for_every_grid_of_a_file(tmp_path, default):
    file = tmp_path / "grids.yaml"
    grids = [{"objectives": ["byol", "simclr"], "strategies": ["cassle"], "offline": True}, {"objectives": ["vicreg"]}]
    file.write_text(yaml.safe_dump({**GRID, "grids": grids}))
    overrides = {"offline": False, "objectives": ["simclr"], "strategies": ["finetune"], "training": {"epochs": 2}}
    made = planned(overrides, [file])
    assert [job.spec.training.epochs for job in made.train.values()] == [2, 2]
    assert made.summary().strategies == ["finetune"]


def test_files_and_overrides_are_laid_over_one_another_key_by_key(tmp_path, default, mine):
    with mine.open("a") as file:
        file.write("training: {epochs: 2, optimizer: {name: lars, lr: 0.3, eta: 0.1}}\n")
    other = tmp_path / "other.yaml"
    other.write_text("training: {optimizer: {name: sgd, lr: 0.2}}\nexecution: {threads: 2}\n")
    made = planned({"training": {"batch_size": "32"}, "execution": {"device": "cpu"}}, [mine, other])
    training = next(iter(made.train.values())).spec.training
    assert (training.epochs, training.batch_size, training.optimizer.name) == (2, 32, "sgd")
    assert (made.study.execution.threads, made.study.execution.device) == (2, "cpu")


def test_studies_done_together_share_jobs_and_keep_their_tables(tmp_path, default):
    lines = "streams: [digits-domain2]\nobjectives: [simclr]\nstrategies: [{}]\nprobes: [{}]\n"
    (tmp_path / "one.yaml").write_text("name: one\n" + lines.format("finetune, cassle", "knn"))
    (tmp_path / "two.yaml").write_text("name: two\n" + lines.format("finetune", "online"))
    outer = tmp_path / "both.yaml"
    outer.write_text("name: both\nstudies: [one.yaml, two.yaml]\n")
    made = planned({}, [outer])
    assert [part.study.name for part in made.parts()] == ["one", "two"]
    assert [len(part.train) for part in made.parts()] == [3, 2]
    assert len(made.train) == 3
    assert [part.tables() for part in made.parts()] == [[("digits-domain2", "knn")], [("digits-domain2", "online")]]
    assert made.study.name == "both"


def test_a_study_of_grids_needs_no_default_study(default):
    grids = [{"streams": ["digits-class2"], "objectives": ["byol"], "strategies": ["cassle"]}]
    assert len(planned({"grids": grids}, []).train) == 2


def test_an_error_names_the_file_it_is_in(default, mine):
    with pytest.raises(SettingsError, match=r"mine\.yaml, --config: unknown key 'sedes'"):
        planned({"sedes": [1]}, [mine])
    with pytest.raises(SettingsError, match=r"^--config: unknown key 'sedes'"):
        planned({**GRID, "sedes": [1]}, [])


def test_a_override_and_its_list_in_one_place_contradict_each_other(default, mine, tmp_path):
    overrides = {"stream": "digits-class2", "objective": "byol", "strategy": "cassle"}
    with pytest.raises(SettingsError, match="--config: 'strategy' and 'strategies' set the same list"):
        planned({**overrides, "strategies": ["finetune"]}, [])
    file = tmp_path / "both.yaml"
    file.write_text("streams: [digits-class2]\nobjectives: [byol]\nseed: 1\nseeds: [0, 1]\n")
    with pytest.raises(SettingsError, match=f"{file}: 'seed' and 'seeds' set the same list; give one of them"):
        planned({}, [file])


def test_a_plan_that_would_overwrite_says_what_and_how_many_hours(tmp_path):
    plan = resolve(read_study(GRID))
    for job in plan.train.values():
        finished(tmp_path, job, spec=trained_with(job, epochs=3), seconds=7200.0)
    with pytest.raises(SettingsError, match=r"train 2 finished tasks again \(4 hours.*") as refused:
        refuse_overwriting(plan, tmp_path)
    usual = next(iter(plan.train.values())).spec.training.epochs
    assert f"training.epochs is now {usual}" in str(refused.value)
    assert "overwrite=true" in str(refused.value)


def test_overwriting_is_allowed_by_a_override(tmp_path, monkeypatch, default):
    monkeypatch.chdir(tmp_path)
    for job in resolve(read_study(GRID)).train.values():
        finished(tmp_path, job, spec=trained_with(job, epochs=3), seconds=7200.0)
    with pytest.raises(SettingsError, match="overwrite=true"):
        planned(GRID, [])
    assert planned({**GRID, "overwrite": True}, []).train


def test_unchanged_finished_work_is_no_obstacle(tmp_path):
    plan = resolve(read_study(GRID))
    for job in plan.train.values():
        finished(tmp_path, job)
    refuse_overwriting(plan, tmp_path)


def test_results_of_other_code_are_kept_and_reported(tmp_path):
    plan = resolve(read_study(GRID))
    first, second = plan.train.values()
    finished(tmp_path, first, code=training_code(first.spec))
    assert other_code(plan, tmp_path) is None
    finished(tmp_path, second, code="older")
    warning = "kept although the training code has changed since: 1 finished task, such as"
    assert f"{warning} {second.folder}; delete" in other_code(plan, tmp_path)


def test_tables_that_lose_something_are_reported_with_what_they_lose(tmp_path):
    plan = resolve(read_study({**GRID, "name": "mine"}))
    assert other_tables(plan, tmp_path) is None
    more = resolve(read_study({**GRID, "name": "mine", "strategies": ["finetune", "cassle"], "seeds": [0, 1]}))
    file = tmp_path / more.folder.study
    write_record(file, more.summary())
    assert other_tables(more, tmp_path) is None
    warning = other_tables(plan, tmp_path)
    assert warning.startswith(
        "tables will not show any more: strategies cassle of mine; seeds 1 of mine. --config name="
    )
    write_record(file, plan.summary())
    assert other_tables(more, tmp_path) is None


def test_a_request_for_another_snakemake_means_the_same(tmp_path, mine):
    request = Request({"seeds": [0, 1], "name": "mine", "data_root": "it's mine"}, [str(mine)])
    request.save(tmp_path / "request.json")
    again = Request.load(tmp_path / "request.json")
    assert again == request
    assert plan_study(again).summary() == plan_study(request).summary()
    assert again.plan_file() == request.plan_file()
    (tmp_path / "request.json").write_text("[]")
    with pytest.raises(SettingsError, match=r"request\.json holds no request; delete it"):
        Request.load(tmp_path / "request.json")
