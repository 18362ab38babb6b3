"""A whole study, and the jobs that are planned again after each kind of change."""

import json
import os
import shutil
from collections import Counter

import pytest
import yaml

from cassle.core.files import load_tensors
from cassle.reporting.rows.benchmark import read_jobs
from tests.workflow.conftest import copy_of_the_project

TINY = ("--configfile", "tiny.yaml")
HOSTILE = 'it\'s `touch pwned` "$(touch pwned)"; touch pwned; \\ \nü'
"""A file name that would run commands in a shell."""
CHAINS_OF_ONE_OBJECTIVE = {"train_task": 4, "probe_checkpoint": 4}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The tiny study, run from data to tables and figures in a folder whose name would run commands in a shell."""
    project = copy_of_the_project(tmp_path_factory.mktemp("finished") / HOSTILE)
    code, output = project.run(*TINY)
    assert code == 0, output
    study = "results/studies/tiny"
    assert f"{study}/report.html is the report, `cassle show {study}` prints its tables\n" in output
    return project


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished study, for tests that change it."""
    return finished.copy(tmp_path / "project")


def test_a_study_ends_in_tables_and_figures(finished):
    study = finished.folder / "results/studies/tiny"
    for probe in ("knn", "online"):
        for suffix in ("md", "csv", "tex", "html"):
            assert (study / f"tables/digits-domain2/{probe}.{suffix}").stat().st_size > 200
    for figure in ("results", "bars", "accuracy_over_tasks", "forgetting_against_accuracy", "accuracy_matrix"):
        for suffix in ("pdf", "svg", "png"):
            assert (study / f"figures/digits-domain2/knn/{figure}.{suffix}").stat().st_size > 2000
    table = (study / "tables/digits-domain2/knn.md").read_text()
    assert all(row in table for row in ("random network", "finetune", "cassle", "offline"))
    assert "nan" not in table.lower()
    assert "training (" in table


def test_every_job_records_its_times_and_resources(finished):
    jobs = read_jobs(finished.folder / "results/benchmark.csv")
    assert Counter(jobs["job"]) == {"train": 8, "probe": 9}
    assert jobs["intervals"].str.fullmatch(r"\S+Z/\S+Z").all()
    assert (jobs["wall_seconds"] > 0).all()
    trained = jobs[jobs["job"] == "train"]
    assert (trained[["images_per_second", "seconds", "memory_mb"]] > 0).all(axis=None)
    assert set(trained["device"]) == {"cpu"}


def test_a_study_ends_in_a_page_with_its_tables_and_figures(finished):
    page = (finished.folder / "results/studies/tiny/report.html").read_text()
    assert "6 of 6 runs finished" in page
    for shown in ("accuracy over tasks, digits-domain2, knn", 'alt="timeline"', "digits-domain2, probe online"):
        assert shown in page


def test_paths_in_settings_reach_jobs_as_they_are_and_no_shell_reads_them(project):
    plugin, given = f"{{}} {HOSTILE}.py", f"-{HOSTILE}.pt"
    (project.folder / plugin).write_text("print('the plugin was loaded')\n")
    first = "results/digits-domain2/conv3-narrow/simclr~batch_size=512~epochs=1/first/seed0/task0/checkpoint.pt"
    shutil.copy(project.folder / first, project.folder / given)
    study = yaml.safe_load((project.folder / "tiny.yaml").read_text()) | {"objectives": ["simclr"], "offline": False}
    study |= {"plugins": [plugin], "first_checkpoint": given, "data_root": f"/{HOSTILE}"}
    (project.folder / f"{HOSTILE}.yaml").write_text(yaml.safe_dump(study))
    code, output = project.run("--configfile", f"{HOSTILE}.yaml", "--until", "train_task")
    assert code == 0, output
    logs = project.folder.glob("results/digits-domain2/*/*/first/seed0/task0/train.log")
    (taken,) = (log.parent for log in logs if "the plugin was loaded" in log.read_text())
    theirs, ours = (load_tensors(file)["model"] for file in (project.folder / first, taken / "checkpoint.pt"))
    assert all((theirs[key] == ours[key]).all() for key in theirs)


def test_no_name_of_a_folder_or_file_was_run_as_a_command(finished):
    assert list(finished.folder.parent.rglob("pwned*")) == []


def test_the_second_run_has_nothing_to_do_and_writes_the_same_plan_file(finished):
    (file,) = finished.folder.glob(".snakemake/cassle/tiny-*.json")
    before = file.read_bytes()
    file.unlink()
    code, output = finished.run(*TINY)
    assert code == 0
    assert "Nothing to be done" in output
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("record", "overrides"),
    [
        ("results/studies/tiny/study.json", []),
        ("results/digits-domain2/*/simclr*/first/seed0/task0/train.json", []),
        ("results/digits-domain2/*/simclr*/first/seed0/task0/train.json", ["--config", "overwrite=true"]),
    ],
)
def test_a_damaged_record_ends_the_dry_run_in_one_message_that_names_it(project, record, overrides):
    (file,) = project.folder.glob(record)
    file.write_text("{}")
    code, output = project.run("-n", *TINY, *overrides)
    assert code != 0
    assert f"{file.relative_to(project.folder)}: " in output
    assert output.count("delete that file and run the workflow again") == 1
    assert "Traceback" not in output


def test_snakemakes_report_is_one_file_that_holds_tables_and_figures(project):
    code, output = project.run("report", *TINY)
    assert code == 0, output
    report = (project.folder / "results/studies/tiny/workflow.html").read_text()
    assert "accuracy_over_tasks" in report
    assert "Tables" in report


def test_touched_files_plan_nothing(project):
    for file in ("config/recipes/simclr.yaml", "cassle/training/step.py", "workflow/rules/train.smk", "tiny.yaml"):
        (project.folder / file).touch()
    assert project.plan(*TINY) == Counter()


def test_comments_and_formatting_plan_nothing_and_are_not_reported(project):
    project.edit("cassle/training/step.py", "strategy.mix_views(views_of(", "strategy.mix_views( views_of(")
    project.edit("cassle/objectives/simclr.py", "    n = len(z1)", "    # rows of one view\n    n = len(z1)")
    project.edit("config/recipes/simclr.yaml", "digits:", "# a comment\ndigits:")
    project.edit("cassle/objectives/simclr.py", 'description="temperature of', 'description="scale of')
    project.edit("cassle/data/streams.py", "is not a stream: write", "is no stream: write")
    project.edit("cassle/runtime/launch.py", "POLL = 0.1", "POLL = 0.2")
    code, output = project.run("-n", *TINY)
    assert code == 0
    assert "Nothing to be done" in output
    assert "training code has changed" not in output


def test_changed_training_code_plans_nothing_but_is_reported(project):
    project.edit("cassle/objectives/simclr.py", "z @ z.T / temperature", "1.0 * z @ z.T / temperature")
    code, output = project.run("-n", *TINY)
    assert code == 0
    assert "Nothing to be done" in output
    assert "kept although the training code has changed since" in output
    (project.folder / "results/studies/tiny/tables/digits-domain2/knn.md").unlink()
    code, output = project.run(*TINY, "--until", "make_table")
    assert code == 0
    before, _, end = output.rpartition("%) done")
    warning = "kept although the training code has changed since: 4 finished tasks, such as"
    assert (warning in before, warning in end) == (True, True)


def test_a_changed_recipe_plans_the_chains_of_that_objective_if_overwriting_is_allowed(project):
    project.edit("config/recipes/barlow_twins.yaml", "lamb: 5.0e-3", "lamb: 6.0e-3")
    code, output = project.run("-n", *TINY)
    assert code != 0
    assert "this plan would train 4 finished tasks again" in output
    planned = project.plan(*TINY, "--config", "overwrite=true")
    assert {rule: planned[rule] for rule in CHAINS_OF_ONE_OBJECTIVE} == CHAINS_OF_ONE_OBJECTIVE
    assert planned["collect_runs"] == 1
    assert "prepare_data" not in planned


def test_a_changed_figure_draws_that_figure_only(project):
    project.edit("cassle/reporting/figures/bars.py", "capsize=2", "capsize=3")
    assert project.plan(*TINY) == {"draw_figure": 1, "write_page": 1}


def test_a_changed_table_makes_the_tables_only(project):
    project.edit("cassle/reporting/tables/cells.py", 'MIXED = "*"', 'MIXED = "†"')
    assert project.plan(*TINY) == {"make_table": 2, "write_page": 1}


def test_a_table_that_fails_is_named_with_its_log(project):
    table = "results/studies/tiny/tables/digits-domain2/knn"
    (project.folder / f"{table}.md").unlink()
    project.edit("cassle/cli/tables.py", "    write_tables(args", "    raise KeyError('seed')\n    write_tables(args")
    code, output = project.run(f"{table}.md", *TINY)
    assert code != 0
    assert f"{table}.md: KeyError: 'seed'\n    log: {table}.log\n" in output[output.index(" did not end well:") :]


def test_another_seed_adds_runs_and_changes_no_finished_one(project):
    planned = project.plan(*TINY, "--config", "seeds=[0,1]")
    assert planned["train_task"] == 8
    assert "prepare_data" not in planned


def test_a_lost_checkpoint_is_trained_again_with_its_dependents(project):
    shutil.rmtree(project.folder / "results/digits-domain2/conv3-narrow/simclr~batch_size=512~epochs=1/first")
    planned = project.plan(*TINY)
    assert planned["train_task"] == 3


def test_a_failed_chain_stops_alone_and_is_reported(project):
    base = project.folder / "results/digits-domain2/conv3-narrow"
    broken = base / "simclr~batch_size=512~epochs=1"
    for strategy in ("finetune", "cassle"):
        shutil.rmtree(broken / strategy)
        shutil.rmtree(base / "barlow_twins~batch_size=512~epochs=1" / strategy)
    checkpoint = broken / "first/seed0/task0/checkpoint.pt"
    (probe,) = checkpoint.parent.glob("probes/*/*.json")
    probe.unlink()
    before = checkpoint.stat()
    checkpoint.write_bytes(b"not a checkpoint")
    os.utime(checkpoint, ns=(before.st_atime_ns, before.st_mtime_ns))
    code, output = project.run(*TINY)
    assert code != 0
    assert f"cannot read checkpoint {checkpoint.relative_to(project.folder)}" in output
    assert "delete it and run the workflow again" in output
    failed = [broken / strategy / "seed0/task1" for strategy in ("finetune", "cassle")]
    last = output[output.index(" jobs did not end well:") :]
    for folder in failed:
        name = folder.relative_to(project.folder)
        assert f"{name}/train.json: cannot read checkpoint {checkpoint.relative_to(project.folder)}" in last
        assert f"log: {name}/train.log" in last
        assert json.loads((folder / "failed.json").read_text())["final"]
    name = probe.relative_to(project.folder)
    assert f"{name}: cannot read checkpoint {checkpoint.relative_to(project.folder)}" in last
    assert f"log: {name.with_suffix('.log')}" in last
    assert "more were not begun." in last
    assert "the same command" in last
    assert output.count("Trying to restart job") == 3 * 2  # a retry that ends at once
    for strategy in ("finetune", "cassle"):
        assert (base / f"barlow_twins~batch_size=512~epochs=1/{strategy}/seed0/task1/checkpoint.pt").exists()
