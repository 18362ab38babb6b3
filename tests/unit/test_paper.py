"""The studies of the paper's tables: what each plans without any data, and what all of them share."""

import re
from pathlib import Path

import pytest

from cassle.cost.estimate import jobs_by_rule
from cassle.plan.presets import preset_of
from cassle.plan.request import Request, plan_study
from cassle.reporting.rows.names import shown_names
from cassle.settings.reading import read_yaml

FOLDER = Path(__file__).parents[2] / "config" / "paper"
JOBS = """
study                prepare  split  train  build_memory  probe  random  tables
ablations                  1      1    147             0    147       1       3
cifar100_methods           1      2     65             0     65       1       3
cifar100_strategies        1      2    138            48    138       1       3
domainnet                  1      2     78             0     78       1       2
imagenet100_class          1      2     65             0     65       1       3
imagenet100_data           1      2     65             0     65       1       3
knn                        3      4    270             0    270       4       4
semi_supervised            1      2     60             0     60       1       2
task_counts                1      4    204             0    210       3       9
transfer                   2      3     60             0     60       1       1
all                        4     11    753            48    765       7      33
"""
RULES = {
    "prepare": "prepare_data",
    "split": "split_stream",
    "train": "train_task",
    "build_memory": "build_memory",
    "probe": "probe_checkpoint",
    "random": "probe_random_network",
    "tables": "make_table",
}
HEAD, *ROWS = [line.split() for line in JOBS.strip().splitlines()]
EXPECTED = {
    name: dict(zip((RULES[word] for word in HEAD[1:]), map(int, numbers), strict=True)) for name, *numbers in ROWS
}


def plan(name: str):
    file = FOLDER / f"{name}.yaml"
    return plan_study(Request({}, [str(file)]))


@pytest.fixture(scope="module")
def everything():
    return plan("all")


def jobs(made) -> dict[str, int]:
    found = jobs_by_rule(made)
    return {rule: found.get(rule, 0) for rule in RULES.values()}


def test_every_study_is_counted_here_and_part_of_all():
    names = {file.stem for file in FOLDER.glob("*.yaml")}
    assert names == set(EXPECTED)
    assert {Path(file).stem for file in read_yaml(FOLDER / "all.yaml")["studies"]} == names - {"all"}


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"all"}))
def test_a_study_plans_its_jobs_without_any_data(name):
    made = plan(name)
    assert made.study.name == name
    assert jobs(made) == EXPECTED[name]
    assert len(made.figures()) == len(made.summary().streams) * len(made.study.figures)


def test_all_plans_shared_jobs_once(everything):
    assert jobs(everything) == EXPECTED["all"]
    alone = sum(sum(jobs_by_rule(part).values()) for part in everything.parts())
    together = sum(jobs_by_rule(everything).values())
    folders = [folder for part in everything.parts() for folder in part.train]
    evaluations = sum(len(part.probe) for part in everything.parts())
    assert (len(folders), len(set(folders))) == (1152, 753)
    assert (evaluations, len(everything.probe)) == (1173, 772)
    assert alone - together > 1152 - 753 + 1173 - 772
    readme = (FOLDER.parents[1] / "README.md").read_text()
    assert "753 trainings instead of 1152, 772 evaluations instead of 1173" in readme


def test_all_evaluates_each_checkpoint_once_on_each_stream(everything):
    asked: dict[str, set[str]] = {}
    for part in everything.parts():
        for job in part.probe.values():
            asked.setdefault(job.output.directory, set()).update(probe.label for probe in job.spec.probes)
    found = [(job.output.directory, [probe.label for probe in job.spec.probes]) for job in everything.probe.values()]
    assert sorted((place, sorted(labels)) for place, labels in found) == sorted(
        (place, sorted(labels)) for place, labels in asked.items()
    )


def test_everything_follows_the_preset_of_the_release_but_for_the_ablation_of_it(everything):
    presets = {"original": 0, "mixed": 0}
    for folder, job in everything.train.items():
        found = preset_of(job.spec)
        presets[found] += 1
        assert found == "original" or "teacher_batchnorm=batch" not in folder
    assert presets["mixed"] == 3 * 4  # frozen BatchNorm in four tasks of three objectives


LONGEST_NAME = 40
"""Letters that a column of a printed page has room for."""


def test_tables_call_everything_by_names_that_can_be_read_and_told_apart(everything):
    for part in everything.parts():
        study = part.summary()
        for stream, probe in study.tables():
            rows = study.rows_of(stream, probe)
            shown = shown_names(rows, study.names)
            called = [tuple(shown[label] for label in row) for row in rows]
            assert len(set(called)) == len(rows)
            for text in (name for row in called for name in row):
                assert not re.search("~|[0-9a-f]{10}", text)
                assert len(text) <= LONGEST_NAME
            title = study.title(stream, probe)
            assert "~" not in title


def test_rows_of_the_ablations_say_what_is_ablated_and_the_papers_cassle_is_called_cassle(everything):
    study = everything.part("ablations").summary()
    rows = study.rows_of(*study.tables()[0])
    shown = shown_names(rows, study.names)
    of = {name: [shown[row[2]] for row in rows if shown[row[1]] == name] for name in ("simclr", "barlow_twins", "byol")}
    changes = ("depth=0", "depth=3", "hidden_dim=512", "predictor=renewed", "weight=0.5", "weight=2")
    common = [f"cassle ({change})" for change in (*changes, "teacher_batchnorm=frozen")]
    form = {name: f"cassle (distillation={name})" for name in ("predictive", "mse", "contrastive")}
    assert of == {
        "simclr": ["finetune", "cassle", *common, "cassle (space=features)", form["predictive"], form["mse"]],
        "barlow_twins": ["finetune", "cassle", *common, form["predictive"], form["mse"]],
        "byol": [
            *("finetune", "cassle", *common, "cassle (space=features)", form["contrastive"], form["mse"]),
            "cassle (teacher=momentum)",
        ],
    }
    (cassle,) = {row[2] for row in rows if shown[row[2]] == "cassle"}
    last = next(job for job in everything.train.values() if f"/{cassle}/" in job.folder)
    assert last.spec.strategy.settings["teacher_batchnorm"] == "batch"


def test_first_tasks_are_shared_by_studies_of_one_stream(everything):
    cifar = [part for part in everything.parts() if "cifar100-class5~statistics=original" in part.summary().streams]
    firsts = {part.study.name: {job.folder for job in part.train.values() if job.previous is None} for part in cifar}
    of_methods = firsts["cifar100_methods"]
    assert {folder for folder in firsts["cifar100_strategies"] if "class5" in folder} <= of_methods
    assert firsts["ablations"] <= of_methods
