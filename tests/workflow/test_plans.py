"""Jobs that a dry run plans, and errors that it reports, without results."""

import re

import pytest

from cassle.cost.estimate import jobs_by_rule
from cassle.cost.text import cost_of
from cassle.plan.request import Request, plan_study
from tests.workflow.conftest import REPOSITORY, planned_jobs

JOBS_OF_THE_DEFAULT_STUDY = {
    "prepare_data": 1,
    "split_stream": 2,
    "train_task": 20,
    "probe_checkpoint": 20,
    "probe_random_network": 1,
    "collect_runs": 1,
    "describe_study": 1,
    "make_table": 3,
    "draw_figure": 5,
    "draw_timeline": 1,
    "write_page": 1,
}


def test_the_default_study_plans_each_job_once_and_first_tasks_once_for_both_strategies(fresh):
    assert fresh.plan() == JOBS_OF_THE_DEFAULT_STUDY


def test_the_report_needs_everything_once_and_itself(fresh):
    assert fresh.plan("report") == {**JOBS_OF_THE_DEFAULT_STUDY, "write_report": 1}


def test_tables_alone_draw_no_figure(fresh):
    planned = fresh.plan("tables")
    assert planned["make_table"] == 3
    assert not {"draw_figure", "draw_timeline", "write_page"} & set(planned)


def test_features_are_extracted_once_per_checkpoint_and_only_if_a_figure_needs_them(fresh):
    planned = fresh.plan("--config", "features=[pca,cka]", "seeds=[3,4]")
    assert (planned["extract_features"], planned["draw_features"]) == (20, 2)


def test_a_study_file_plans_nothing_of_the_default_study(fresh):
    code, output = fresh.run("-n", "--configfile", "tiny.yaml")
    assert code == 0
    assert "digits-domain2" in output
    assert "digits-domain5" not in output
    assert "results/studies/digits/" not in output


def test_studies_in_one_run_plan_shared_jobs_once_and_tables_for_each(fresh):
    study = (fresh.folder / "tiny.yaml").read_text().replace("execution: {device: cpu}", "")
    (fresh.folder / "one.yaml").write_text(study.replace("name: tiny", "name: one"))
    (fresh.folder / "two.yaml").write_text(study.replace("[simclr, barlow_twins]", "[simclr]"))
    (fresh.folder / "both.yaml").write_text("name: both\nstudies: [one.yaml, two.yaml]\nexecution: {device: cpu}\n")
    planned = fresh.plan("--configfile", "both.yaml")
    alone = fresh.plan("--configfile", "tiny.yaml")
    trained = ("train_task", "probe_checkpoint", "probe_random_network")
    assert {rule: planned[rule] for rule in trained} == {rule: alone[rule] for rule in trained}
    assert (planned["describe_study"], planned["make_table"]) == (2, 2 * alone["make_table"])


def test_a_study_of_the_paper_is_planned_without_any_data_and_asks_for_their_folder(fresh):
    code, output = fresh.run("-n", "--configfile", "config/paper/cifar100_methods.yaml", DATA_DIR="")
    assert code == 0
    assert output.count("where is cifar100? Give the folder that holds it") == 1
    planned = planned_jobs(output)
    assert planned == jobs_by_rule(plan_study(Request({}, [f"{REPOSITORY}/config/paper/cifar100_methods.yaml"])))


def test_overrides_apply_to_every_grid_of_a_file_as_in_cassle_plan(fresh):
    file = REPOSITORY / "config/paper/cifar100_methods.yaml"
    overrides = ["offline=false", "objectives=[simclr]", "strategies=[finetune]"]
    planned = fresh.plan("--configfile", str(file), "--config", *overrides)
    assert planned["train_task"] == 5
    counts = re.findall(r"^(\w+) +(\d+) +0$", cost_of([str(file)], overrides), re.MULTILINE)
    assert planned == {rule: int(number) for rule, number in counts if rule != "total"}


def test_one_experiment_is_planned_by_overrides(fresh):
    overrides = ["stream=digits-class5", "objective=byol", "strategy=cassle", "seed=1"]
    planned = fresh.plan("--config", *overrides)
    assert planned["train_task"] == 5
    assert (planned["probe_checkpoint"], planned["probe_random_network"]) == (5, 1)


def test_memories_are_planned_for_strategies_with_a_memory_and_not_after_the_last_task(fresh):
    overrides = ["stream=digits-domain3", "objective=byol", "strategy=[cassle,pod,er,cassle+ewc]"]
    planned = fresh.plan("--config", *overrides)
    assert (planned["train_task"], planned["build_memory"]) == (9, 4)


def test_the_ablations_plan_each_choice_once_and_share_first_tasks_and_offline_models(fresh):
    planned = fresh.plan("--configfile", "config/ablations.yaml")
    default = JOBS_OF_THE_DEFAULT_STUDY
    first = 4  # of two objectives and their offline models
    assert planned["train_task"] == first + 14 * (default["train_task"] - first) // 2
    assert "build_memory" not in planned


def test_a_limit_on_gpus_changes_no_plan(fresh):
    assert fresh.plan("--resources", "gpu=2") == JOBS_OF_THE_DEFAULT_STUDY


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objektive=byol"], "unknown key 'objektive': did you mean 'objectives'?"),
        (["objective=bylo"], "there is no objective 'bylo': did you mean 'byol'?"),
        (["stream=digits-domain50"], "digits has 6 domains"),
        (["features=[pac]"], "there is no figure 'pac': did you mean 'pca'"),
    ],
)
def test_a_mistake_in_an_override_ends_the_dry_run_with_its_message(fresh, overrides, message):
    code, output = fresh.run("-n", "--config", *overrides)
    assert code != 0
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "file", ["results/digits-domain2/conv3-narrow/random/seed0/probes/digits-domain2/x.json", "results/studies/other"]
)
def test_a_target_outside_the_study_is_refused_by_name(fresh, file):
    target = file if file.endswith(".json") else f"{file}/report.html"
    code, output = fresh.run("-n", target, "--configfile", "tiny.yaml")
    assert code != 0
    assert f"SettingsError: {file} is not part of the study 'tiny'" in output
